/** A list of any length through the real worker: workerd holds two batches of it, never the file. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { openScene } from '../journey/scene.ts';
import { familyOf } from '../support/system.ts';

const FEW = 100_000;
const MANY = 4 * FEW;
/** Less than the rows of the longer file would take if they were held: some 150 MB. */
const ALLOWED_MB = 100;

/** Megabytes resident of the largest workerd below this process. */
const largestWorkerd = (root: number): number => {
  const family = familyOf(root).map(({ pid }) => String(pid));
  const { stdout } = spawnSync('ps', ['-o', 'rss=,args=', '-p', family.join(',')], { encoding: 'utf8' });
  const sizes = stdout.split('\n').map((line) => /^\s*(\d+)\s+\S*workerd\S* serve/.exec(line)?.[1] ?? '0');
  return Math.max(...sizes.map(Number)) / 1024;
};

/** A file made as it is sent. */
const csv = (rows: number): ReadableStream<Uint8Array> => {
  const encoder = new TextEncoder();
  let n = 0;
  return new ReadableStream({
    pull(controller) {
      let text = n === 0 ? 'phone,name,email,company,plan\n' : '';
      for (const end = Math.min(n + 1000, rows); n < end; n += 1)
        text += `+1${2_012_000_000 + Math.floor(n / 10_000) * 1_000_000 + (n % 10_000)},Name ${n},n${n}@example.com,Company ${n % 997},gold\n`;
      if (text === '') controller.close();
      else controller.enqueue(encoder.encode(text));
    },
  });
};

test('a file four times as long takes workerd no more memory', async () => {
  const scene = await openScene('--no-demo', '--no-cron');
  const { url, api_key, agent_id, pid } = scene.ready;
  /** Megabytes of workerd at their highest while so many rows are imported. */
  const peakOf = async (rows: number): Promise<number> => {
    const window = { days: [1], start: '09:00', end: '17:00' };
    const { id } = await scene.api<{ id: string }>('POST', '/v1/campaigns', { name: `${rows} rows`, agent_id, window });
    let peak = 0;
    const looking = setInterval(() => (peak = Math.max(peak, largestWorkerd(pid))), 200);
    try {
      const headers = { authorization: `Bearer ${api_key}`, 'content-type': 'text/csv' };
      const init = { method: 'POST', headers, body: csv(rows), duplex: 'half' } as RequestInit;
      const answer = await fetch(`${url}/v1/campaigns/${id}/leads`, init);
      expect(await answer.json()).toMatchObject({ rows, imported: rows, duplicates: 0, invalid: 0 });
    } finally {
      clearInterval(looking);
    }
    return peak;
  };
  await peakOf(FEW); // the engine takes its room once
  const few = await peakOf(FEW);
  const many = await peakOf(MANY);
  console.log(`workerd: at most ${few.toFixed(0)} MB at ${FEW} rows, ${many.toFixed(0)} MB at ${MANY}`);
  expect(few).toBeGreaterThan(50);
  expect(many - few).toBeLessThan(ALLOWED_MB);
});
