/** One import in a process of its own, so that its memory is nobody else's: prints what it took as JSON. */
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { importCsv } from '../lib/import-leads.ts';
import { bindVerbs } from '../lib/verbs.ts';
import { phone } from './scene.ts';

const [account = '', campaign = '', count = '0'] = process.argv.slice(2);
const rows = Number(count);
const encoder = new TextEncoder();

/** The file, made as it is read. */
const csv = (): ReadableStream<Uint8Array> => {
  let n = 0;
  return new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode('phone,name,email,company,plan\n')),
    pull(controller) {
      let text = '';
      for (const end = Math.min(n + 1000, rows); n < end; n += 1)
        text += `${phone(n + 1)},Name ${n},n${n}@example.com,Company ${n % 997},gold\n`;
      if (text === '') controller.close();
      else controller.enqueue(encoder.encode(text));
    },
  });
};

const pool = new Pool({ connectionString: process.env['BENCH_DATABASE_URL'], max: 1 });
pool.on('error', () => undefined); // a query under way rejects all the same
let heap = 0;
let rss = 0;
const verbs = bindVerbs({
  query: async (text, params) => {
    rss = Math.max(rss, process.memoryUsage().rss);
    return pool.query(text, [...params]);
  },
});
/** What is alive, not what waits to be collected. A collection takes time, so only the first and every 20th batch is looked at. */
let batches = 0;
const importLeads: typeof verbs.importLeads = (...args) => {
  batches += 1;
  if (batches % 20 === 1) {
    globalThis.gc?.();
    heap = Math.max(heap, process.memoryUsage().heapUsed);
  }
  return verbs.importLeads(...args);
};
const began = performance.now();
const report = await importCsv(
  { now: () => new Date(), newId: () => randomUUID(), verbs: { ...verbs, importLeads } },
  account,
  campaign,
  csv(),
);
const ms = performance.now() - began;
await pool.end();
console.log(JSON.stringify({ ms, rss, heap, imported: report.imported }));
