import test from 'ava'
import { PipeEnd } from 'zcio'
import * as house from './helpers/house.js'

const project = house.readProject()

/** Files of `src/` with no behaviour of their own, and why. */
const withoutSpec: Record<string, string> = {
  'src/endpoint/here.ts': 'binding.spec.ts',
  'src/endpoint/stream.ts': 'fallback.spec.ts',
  'src/hold-process.ts': 'engine.spec.ts, calls.spec.ts',
  'src/http/index.ts': 're-exports',
  'src/http/response.ts': 'types',
  'src/http/static/candidate.ts': 'types',
  'src/node-internals/symbols.ts': 'response.spec.ts, file-stream.spec.ts',
}

/** Each with files that break it, exactly once. */
const rules: [sentence: string, rule: house.Rule, ...bad: house.Files[]][] = [
  ['a file has at most 300 lines of code', house.shortFiles, { 'src/a.ts': 'f()\n'.repeat(301) }],
  ['a file opens with what it decides', house.essays, { 'crates/zcio/src/a.rs': 'use std::io;' }],
  ['only src/binding.ts names #binding', house.oneBinding, { 'src/a.ts': `require('#binding')` }],
  [
    "only src/node-internals reads Node's private fields",
    house.onePrivateReader,
    { 'src/a.ts': 'socket._handle.fd', 'src/b.ts': 'Readable.prototype._read // not _handle' },
  ],
  ['only sys/ names nix or libc', house.oneSystemFolder, { 'crates/zcio/src/pipe.rs': 'use libc::c_int;' }],
  [
    'unsafe stays in sys/ and convert.rs',
    house.unsafeAtTheEdges,
    { 'crates/zcio-node/src/lib.rs': 'unsafe { f() }', 'crates/zcio/src/sys/a.rs': 'unsafe { f() }' },
  ],
  ['the crate knows nothing of Node-API', house.crateWithoutNode, { 'crates/zcio/Cargo.toml': 'napi = "3"' }],
  [
    'TypeScript modules import downwards, without circles',
    house.typescriptDirections,
    { 'src/endpoint/file.ts': `import { a } from '../transfer.js'`, 'src/transfer.ts': '' },
    { 'src/pipe.ts': `import { a } from './pages.js'`, 'src/pages.ts': `export * from './pipe.js'` },
    { 'src/utils.ts': `import { a } from './errors.js'`, 'src/errors.ts': '' },
  ],
  [
    'Rust modules use downwards',
    house.rustDirections,
    { 'crates/zcio/src/sys/a.rs': 'use crate::{pool::Pool, sys::{b, c}};\nuse super::d;' },
    { 'crates/zcio/src/transfer/route.rs': 'super::super::drivers::drive();\nsuper::outcome::f()' },
    { 'crates/zcio/src/pipe.rs': 'use crate::Transfer;\n#[cfg(test)]\nmod tests {\nuse super::Pipe;\n}' },
  ],
  [
    'an index has no logic',
    house.indexWithoutLogic,
    { 'index.ts': `export * from './a.js'\nexport const b = 1` },
  ],
  [
    'nothing is left over',
    house.nothingLeftOver,
    { '__test__/a.spec.ts': 'test.serial.skip()' },
    { 'crates/zcio/src/a.rs': '// TODO' },
    { 'src/a.ts': '// eslint-disable-next-line eqeqeq\n// eslint-disable-next-line eqeqeq -- because' },
  ],
  [
    'source and sink are called so',
    house.words,
    {
      'crates/zcio/src/a.rs':
        'pub fn copy<S: AsFd>(\n    src: &S,\n    sink: &S,\n) {}\npub fn part(from: u32) {}',
    },
  ],
  [
    'there is one version',
    house.oneVersion,
    { 'package.json': '"version": "1.0.0"', 'crates/zcio/Cargo.toml': 'version = "1.0.1"' },
  ],
]

for (const [sentence, rule, ...bad] of rules) {
  test(sentence, (t) => {
    for (const files of bad) t.is(rule(files).length, 1, 'the rule can fail')
    t.deepEqual(rule(project), [])
  })
}

test('a file of src/ has its spec', (t) => {
  const bad = { 'src/a.ts': '', 'src/b.ts': '', 'src/c.ts': '', '__test__/c.spec.ts': '' }
  t.deepEqual(house.mirror({ 'src/b.ts': 'types', 'src/c.ts': 'types' })(bad), [
    'src/a.ts: no __test__/a.spec.ts',
    'src/c.ts: needs no exception any more',
  ])
  t.deepEqual(house.mirror(withoutSpec)(project), [])
})

test('what is tested and measured is not lowered', (t) => {
  // What runs TypeScript here rewrites the package, too. It made private fields WeakMaps once, to nobody's notice but of
  // the benchmarks: they took more memory, and garbage that only a full collection finds.
  t.regex(String(PipeEnd), /this\.#fd/)
})
