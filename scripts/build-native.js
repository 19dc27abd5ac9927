// Builds the native half with `napi build`; says in one line why not where it cannot.

import { spawnSync } from 'node:child_process'
import process from 'node:process'

const BUILD = 'build --platform --manifest-path crates/zcio-node/Cargo.toml --output-dir .'
const OUTPUT = '--js binding.cjs --dts binding.d.cts'

if (process.platform !== 'linux') {
  console.log(`zcio: nothing native to build on ${process.platform}; isSupported() will be false`)
} else if (spawnSync('cargo', ['--version']).error) {
  console.error(
    'zcio: building from source needs Rust 1.88 or newer, and there is no cargo here: https://rustup.rs',
  )
  process.exitCode = 1
} else {
  const args = [...BUILD.split(' '), ...OUTPUT.split(' '), ...process.argv.slice(2)]
  process.exitCode = spawnSync('napi', args, { stdio: 'inherit' }).status ?? 1
}
