// The public face of zcio/http.

export { respondWithFile, type RespondOptions } from './respond-with-file.js'
export { serveStatic, type StaticHandler } from './serve-static.js'
export type { Encoding, FileStat, ServeStaticOptions } from './static/options.js'
