// A network of the bench's own. How TCP controls congestion is set for each network namespace, and decides how much of
// the loopback's time is waiting: figures of one are not those of another.

import { spawnSync } from 'node:child_process'

/** Tells who is inside which it is. */
const INSIDE = 'ZCIO_BENCH_TCP'

const ENTER = `
control=/proc/sys/net/ipv4/tcp_congestion_control
ip link set lo up || exit 1
echo "$1" 2>&- > $control || { echo "--tcp takes one of: $(cat /proc/sys/net/ipv4/tcp_available_congestion_control)"; exit 2; } >&2
shift
exec "$@"`

/** Runs this program once more, in a network namespace with that congestion control; undefined: it is there. */
export function runWithTcp(congestion: string): number | undefined {
  if (process.env[INSIDE] === congestion) return undefined
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const { status } = spawnSync('unshare', ['--net', 'sh', '-c', ENTER, 'sh', congestion, ...again], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: congestion },
  })
  return status ?? 1
}
