import test from 'ava'
import { run } from './helpers/children.js'

test('what the application itself raises in the turn of a call reaches it when the turn is over', async (t) => {
  const { code, stdout } = await run(`
    import { Pipe, spliceSync } from 'zcio'
    import { execFileSync } from 'node:child_process'
    import { openSync, readFileSync, writeSync } from 'node:fs'
    const blocked = (status) => BigInt('0x' + /^SigBlk:\\s*(\\w+)/m.exec(status)[1]) !== 0n
    const mine = () => blocked(readFileSync('/proc/self/status', 'latin1'))
    let signals = 0
    process.on('SIGPIPE', () => { signals += 1 })
    const pipe = new Pipe()
    const source = openSync(process.execPath)
    const before = mine()
    spliceSync(source, 0, pipe.writer, null, 1)
    const during = mine()
    const child = blocked(execFileSync('cat', ['/proc/self/status'], { encoding: 'latin1' }))
    pipe.reader.close()
    try { writeSync(pipe.writer.fd, 'x') } catch {}
    await new Promise((resolve) => setTimeout(resolve, 50))
    console.log(JSON.stringify({ before, during, child, after: mine(), signals }))
    process.removeAllListeners('SIGPIPE')`)
  t.is(code, 0)
  t.deepEqual(JSON.parse(stdout), { before: false, during: true, child: false, after: false, signals: 1 })
})
