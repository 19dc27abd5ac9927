// A method of a stream, replaced for a while.

/** Gives an object this method of its own. Returns how to give it back what it had, unless that is done already. */
export function replace(object: object, name: string, method: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(object, name)
  Reflect.set(object, name, method)
  return () => {
    if (Reflect.get(object, name) !== method) return
    if (before === undefined) Reflect.deleteProperty(object, name)
    else Object.defineProperty(object, name, before)
  }
}
