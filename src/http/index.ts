// The public face of zcio/http.

export { respondWithFile, type RespondOptions } from './respond-with-file.js'
