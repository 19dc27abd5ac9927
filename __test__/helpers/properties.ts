// What a property that fails prints: the error, too, since ava does not show the cause of one.

import fc from 'fast-check'

fc.configureGlobal({ includeErrorInReport: true })
