// The only reader of Node's private fields, with the folder beside it. Each is feature-tested when the module is loaded;
// where one is not as expected, `internals` says so and the callers use Node's public streams instead: it refuses, it
// never guesses.
//
// What is read, and since when it has been so (Node 20 to 26):
//   readable._readableState.reading             whether it has asked for bytes that have not come yet
//   readable._readableState.ended               whether its end has been read, though perhaps not yet been told
//   readable._readableState.pipes               where it is piped
//   readable._readableState.awaitDrainWriters   whose 'drain' it waits for: a stream, a Set of them, or null
//   readable._readableState.dataEmitted         whether bytes have left it; set here when we have moved them
//   fileStream[Symbol('kFs')]      what it reads or writes, and closes, its file with
//   fileStream[Symbol('kHandle')]  the FileHandle that it was made of
//   socket._handle.fd         the descriptor of a TCP or Pipe handle
//   socket._handle.reading, .readStart(), .readStop()   whether libuv reads, and how to make it; pause() does not
//   socket._handle.shutdown()   ends what is written; 1: that was done at once
//   socket._handle.hasRef()   whether it keeps the process alive
//   socket._handle.bytesRead, .bytesWritten             what the socket's own counters are taken from
//   socket._handle.writeQueueSize   bytes that libuv was given and the kernel has not accepted
//   socket._unrefTimer()      refreshes the idle timer, as every write of Node's own does
//   socket._writeGeneric      what its _write and _writev call
//   socket.parser             the HTTP parser that takes what is read, past the stream
//   res[Symbol('kOutHeaders')]   the headers that have been set: name and value, by the name in lower case
//   res._header               the head as it will be sent, from writeHead() on
//   res._headerSent           whether it has been; set here when we have sent it
//   res._contentLength        what the head declares

import { fileStreamIsAsExpected } from './node-internals/file-stream.js'
import { pipesAreAsExpected, readableIsAsExpected } from './node-internals/readable.js'
import { responseIsAsExpected } from './node-internals/response.js'
import { socketIsAsExpected } from './node-internals/socket.js'

export * from './node-internals/counters.js'
export * from './node-internals/file-stream.js'
export * from './node-internals/readable.js'
export * from './node-internals/response.js'
export * from './node-internals/socket.js'

/** Whether this Node is as described above. */
export const internals: boolean = readableIsAsExpected() && socketIsAsExpected() && responseIsAsExpected()

/** Whether this Node's pipes are as described above, too. */
export const pipingInternals: boolean = internals && pipesAreAsExpected() && fileStreamIsAsExpected()
