/** A CSV of many rows through the use case that the worker runs, against `COPY` of the same rows into the same table. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Bench } from './bench.ts';
import { check, interleave, line, median, round } from './measure.ts';
import { phone, stage } from './scene.ts';
import type { Server } from './server.ts';

/** What one import in a process of its own says. */
export interface Imported {
  ms: number;
  /** Bytes at their highest. */
  rss: number;
  heap: number;
  imported: number;
}

const runFile = promisify(execFile);

/** A started campaign with one lead in it, and how many leads it has. */
const scene = async (server: Server) => {
  const db = await server.database();
  const [owner] = await stage(db, { accounts: 1, leads: 1, accountCap: 10 });
  const leads = async (): Promise<number> =>
    (await db.pool.query<{ n: number }>('select count(*)::int as n from ringleader.leads')).rows[0].n;
  return { db, owner: owner, leads };
};

const ourImport = async (server: Server, rows: number): Promise<Imported> => {
  const { db, owner, leads } = await scene(server);
  try {
    const child = path.join(import.meta.dirname, 'import-child.ts');
    const { stdout } = await runFile(process.execPath, ['--expose-gc', child, owner.account, owner.campaign, String(rows)], {
      env: { ...process.env, BENCH_DATABASE_URL: db.appUrl },
    });
    const imported = JSON.parse(stdout) as Imported;
    check(imported.imported === rows && (await leads()) === rows + 1, `${imported.imported} of ${rows} rows imported`);
    return imported;
  } finally {
    await db.drop();
  }
};

/** Milliseconds. As the superuser, whom row-level security does not slow; with every index and constraint in place. */
const copy = async (server: Server, rows: number): Promise<number> => {
  const { db, owner, leads } = await scene(server);
  const client = new Client({ connectionString: db.url });
  try {
    await client.connect();
    const at = new Date().toISOString();
    const importId = randomUUID();
    const lines = function* (): Generator<string> {
      for (let from = 0; from < rows; from += 1000) {
        let text = '';
        for (let n = from; n < Math.min(from + 1000, rows); n += 1)
          text += `${randomUUID()},${owner.account},${owner.campaign},${phone(n + 1)},Name ${n},n${n}@example.com,Company ${n % 997},"{""plan"": ""gold""}",waiting,${at},${importId},${n + 2},${at}\n`;
        yield text;
      }
    };
    const began = performance.now();
    const into = client.query(
      copyFrom(`copy ringleader.leads (id, account_id, campaign_id, phone, name, email, company, variables, status, next_attempt_at,
        import_id, import_row, created_at) from stdin with (format csv)`),
    );
    await pipeline(Readable.from(lines()), into);
    const ms = performance.now() - began;
    check((await leads()) === rows + 1, 'rows were lost in the copy');
    return ms;
  } finally {
    await client.end();
    await db.drop();
  }
};

const MB = 1_048_576;

export const importing: Bench = {
  name: 'import',
  about: 'a CSV (phone, name, email, company, one variable) through the importer, against COPY of the same rows',
  async run(server, { rounds, rows }) {
    const few = Math.round(rows / 10);
    const got = await interleave(Math.min(rounds, 3), {
      ours: () => ourImport(server, rows),
      copy: () => copy(server, rows),
      few: () => ourImport(server, few),
    });
    const ratio = median(got.ours.map(({ ms }, i) => ms / got.copy[i]));
    const middle = (figures: readonly Imported[], of: 'ms' | 'rss' | 'heap'): number => median(figures.map((one) => one[of]));
    const grown = middle(got.ours, 'heap') / middle(got.few, 'heap');
    return {
      lines: [
        line(`import of ${round(rows)} rows ÷ COPY of the same rows`, ratio, '<=', 3),
        line(`memory: peak live heap at ${round(rows)} rows ÷ at ${round(few)}`, grown, '<=', 1.2),
      ],
      detail: [
        `import: ${round(middle(got.ours, 'ms') / 1000)} s, ${round((rows * 1000) / middle(got.ours, 'ms'))} rows/s; COPY: ${round(median(got.copy) / 1000)} s`,
        ...[[rows, got.ours] as const, [few, got.few] as const].map(
          ([n, figures]) =>
            `${round(n)} rows: live heap at most ${round(middle(figures, 'heap') / MB)} MB, resident at most ${round(middle(figures, 'rss') / MB)} MB`,
        ),
      ],
    };
  },
};
