// Reads an interval log with HdrHistogram's reader, and prints what each tag sums up to.

import fs from 'node:fs'
import hdr from 'hdr-histogram-js'

const reader = new hdr.HistogramLogReader(fs.readFileSync(process.argv[2], 'utf8'), 64)
const tags = {}
for (let it = reader.nextIntervalHistogram(); it; it = reader.nextIntervalHistogram()) {
  const tag = (tags[it.tag] ??= { intervals: 0, count: 0, max: 0, sum: 0, firstMs: it.startTimeStampMsec })
  tag.intervals += 1
  tag.count += it.totalCount
  tag.max = Math.max(tag.max, it.maxValue)
  tag.sum += it.mean * it.totalCount
  tag.lastMs = it.endTimeStampMsec
}
console.log(JSON.stringify(tags))
