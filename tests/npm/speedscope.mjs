// Opens a file with speedscope's own importer, and prints what it makes of it.
//
// The package is a bundle for browsers that exports nothing. Its code is run as it is up
// to where it begins to draw; there its importers are handed out instead.

import fs from 'node:fs'
import path from 'node:path'
import vm from 'node:vm'

const folder = path.resolve('node_modules/speedscope/dist/release')
const bundle = fs.readdirSync(folder).find(name => /^speedscope-\w+\.js$/.test(name))
const source = fs.readFileSync(path.join(folder, bundle), 'utf8')

// `console.log(`speedscope v…`)` is the first statement of the page itself.
const page = source.lastIndexOf('console.log(`speedscope v')
// `Promise.resolve().then(()=>(init(),importers))`, as the bundler writes `import()`.
const exports = /([\w$]+),\{importFromFileSystemDirectoryEntry:/.exec(source)[1]
const loaded = new RegExp(`\\(([\\w$]+)\\(\\),${exports.replace('$', '\\$')}\\)`).exec(source)
if (page < 0 || !loaded) throw new Error('this version of speedscope is built otherwise')

const nothing = new Proxy(function () {}, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => '' : nothing),
  apply: () => nothing,
  construct: () => nothing,
})
const window = { addEventListener() {}, location: { hash: '', protocol: 'file:' } }
window.localStorage = { getItem: () => null, setItem() {} }
window.matchMedia = () => ({ matches: false, addListener() {}, addEventListener() {} })
const sandbox = {
  window, document: nothing, navigator: { userAgent: 'node', platform: 'node' },
  location: window.location, localStorage: window.localStorage,
  console: { ...console, log() {} },
  TextDecoder, TextEncoder, URL, URLSearchParams, FileReader: nothing, File: nothing,
  atob, btoa, setTimeout, clearTimeout, requestAnimationFrame: nothing, performance,
  // The same classes as this file's, for what is handed over.
  ArrayBuffer, Uint8Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array, DataView,
}
sandbox.self = sandbox.globalThis = sandbox
vm.runInNewContext(`${source.slice(0, page)};self.importers=${loaded[0]};})();`, sandbox)

const file = process.argv[2]
const bytes = fs.readFileSync(file)
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
const group = await sandbox.importers.importProfilesFromArrayBuffer(path.basename(file), buffer)
if (!group) throw new Error(`speedscope does not know what ${file} is`)

const told = group.profiles.map(profile => {
  const frames = []
  profile.forEachFrame(frame => frames.push(frame.name))
  let own = 0
  profile.forEachFrame(frame => { own += frame.getSelfWeight() })
  return {
    name: profile.getName(),
    unit: profile.getWeightUnit(),
    total: profile.getTotalWeight(),
    own,
    frames,
  }
})
console.log(JSON.stringify({ shown: group.indexToView, profiles: told }))
