// Answers without a file: a directory's redirect, and errors, which are the application's to show where it wants to.

import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import { format } from 'node:url'
import encodeUrl from 'encodeurl'
import escapeHtml from 'escape-html'
import parseUrl from 'parseurl'

/** An error with a status, as of the package `http-errors`. */
interface HttpError {
  status: number
  headers?: Record<string, string> | undefined
}

/** Leads the path of a directory to the same with a slash. */
export function redirect(req: IncomingMessage, res: ServerResponse): void {
  const original = parseUrl.original(req)
  const pathname = `${original?.pathname ?? ''}/`.replace(/^\/+/, '/')
  const location = encodeUrl(format({ ...original, path: null, pathname } as object))
  res.statusCode = 301
  res.setHeader('Location', location)
  respondWithDocument(res, 'Redirecting', `Redirecting to ${escapeHtml(location)}`)
}

/** Says that only files are served here, and how. */
export function refuseMethod(res: ServerResponse): void {
  res.statusCode = 405
  res.setHeader('Allow', 'GET, HEAD')
  res.setHeader('Content-Length', '0')
  res.end()
}

/** Shows an error itself, where there is nobody else to. */
export function respondWithError(res: ServerResponse, { status, headers = {} }: HttpError): void {
  for (const name of res.getHeaderNames()) res.removeHeader(name)
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  res.statusCode = status
  respondWithDocument(res, 'Error', escapeHtml(STATUS_CODES[status] ?? String(status)))
}

function respondWithDocument(res: ServerResponse, title: string, text: string): void {
  const lines = [
    '<!DOCTYPE html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<title>${title}</title>`,
    '</head>',
    '<body>',
    `<pre>${text}</pre>`,
    '</body>',
    '</html>',
    '',
  ]
  const document = lines.join('\n')
  res.setHeader('Content-Type', 'text/html; charset=UTF-8')
  res.setHeader('Content-Length', Buffer.byteLength(document))
  res.setHeader('Content-Security-Policy', "default-src 'none'")
  res.setHeader('X-Content-Type-Options', 'nosniff')
  res.end(document)
}
