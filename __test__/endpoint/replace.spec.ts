import test from 'ava'
import { replace } from '#src/endpoint/replace.js'

class Original {
  method(): string {
    return 'original'
  }
}

const other = (): string => 'other'

test('an object has a method of its own, until it is given back what it had', (t) => {
  const object = new Original()
  const restore = replace(object, 'method', other)
  t.is(object.method(), 'other')
  restore()
  t.is(object.method(), 'original')
  t.false(Object.hasOwn(object, 'method'))
  restore()
  t.is(object.method(), 'original')
})

test('what it had of its own comes back as it was, and what it was given meanwhile stays', (t) => {
  const object = new Original()
  const own = { value: other, configurable: true, writable: true, enumerable: false }
  Object.defineProperty(object, 'method', own)
  const again = (): string => 'again'
  const restore = replace(object, 'method', again)
  restore()
  t.deepEqual(Object.getOwnPropertyDescriptor(object, 'method'), own)
  const late = replace(object, 'method', again)
  object.method = () => 'meanwhile'
  late()
  t.is(object.method(), 'meanwhile')
})
