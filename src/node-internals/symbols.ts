// Node's own symbols, which no module of its own exports.

/** The value of an own property whose key is a symbol of Node's. */
export function ownSymbol(object: object, description: string): unknown {
  const key = symbolOf(object, description)
  return key === undefined ? undefined : (object as Record<symbol, unknown>)[key]
}

/** The symbol of that description among the own keys of `object`. */
export function symbolOf(object: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === description)
}
