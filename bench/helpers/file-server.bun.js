// Bun's server of files, as its documentation has it. Usage: bun file-server.bun.js PORT DIRECTORY

/* global Bun */
const [port, root] = process.argv.slice(2)

Bun.serve({
  port,
  hostname: '127.0.0.1',
  fetch: ({ url }) => new Response(Bun.file(root + new URL(url).pathname)),
})
