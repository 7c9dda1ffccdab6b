// Reads a Parquet file with hyparquet, and prints its rows; 64-bit integers as numbers.

import fs from 'node:fs'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'

const bytes = fs.readFileSync(process.argv[2])
const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
const about = parquetMetadata(file)
const rows = await parquetReadObjects({ file })
const number = (_, value) => (typeof value === 'bigint' ? Number(value) : value)
const keys = Object.fromEntries(about.key_value_metadata.map(({ key, value }) => [key, value]))
console.log(JSON.stringify({ keys, rows }, number))
