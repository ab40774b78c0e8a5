/**
 * The real database under simulation: one session as the app role, one statement in flight, and a trigger that tells of every row
 * that changes, so that each committed instant can be judged without asking.
 */
import { Client, type ClientConfig } from 'pg';

/** A row as it is now; undefined when it was removed. */
export interface Change {
  table: string;
  row: Record<string, unknown>;
  removed: boolean;
}
export interface Ran {
  /** The verb's answer, as the server wrote it. */
  text: string;
  changes: Change[];
}

/** Tables whose rows are told; the others follow from them. */
const TOLD = ['accounts', 'agents', 'campaigns', 'leads', 'calls', 'imports', 'suppressions', 'notifications'];
const TELL = `
  create schema simulation;
  grant usage on schema simulation to ringleader_app, ringleader_system;
  create function simulation.tell() returns trigger language plpgsql as $$
  begin
    raise notice '% % %', tg_table_name, tg_op, to_json(case when tg_op = 'DELETE' then old else new end);
    return null;
  end $$;
  ${TOLD.map((name) => `create trigger tell after insert or update or delete on ringleader.${name} for each row execute function simulation.tell();`).join('\n')}`;

/** Plans that depend on nothing but the statement, as far as a planner can be told so. */
const STEADY =
  'set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set plan_cache_mode = force_generic_plan; set jit = off';

/** Seeds after which the rows of the dead are cleared away. */
const CLEARED_EVERY = 100;

export interface SimDatabase {
  /** Runs one statement as the app role: one commit. */
  run(verb: string, text: string, params: readonly unknown[]): Promise<Ran>;
  /** Asks as the superuser; changes nothing. */
  ask<T>(text: string, params?: readonly unknown[]): Promise<T[]>;
  /** Leaves no row behind. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param url superuser's; the database must hold the schema and nothing else
 * @param appConfig as the worker signs in
 */
export const openSimDatabase = async (url: string, appConfig: ClientConfig): Promise<SimDatabase> => {
  const owner = new Client({ connectionString: url });
  const app = new Client({ ...appConfig, types: { getTypeParser: () => (text: string) => text } });
  await owner.connect();
  await app.connect();
  await owner.query(TELL);
  await app.query(STEADY);
  let changes: Change[] = [];
  app.on('notice', ({ message = '' }) => {
    const [, table, operation, row] = /^(\w+) (INSERT|UPDATE|DELETE) (.*)$/s.exec(message) ?? [];
    if (table && row) changes.push({ table, row: JSON.parse(row) as Change['row'], removed: operation === 'DELETE' });
  });
  const named = async (kind: 'r' | 'S', written: string): Promise<string> => {
    const found = `select string_agg(${written}, '; ' order by relname) as all from pg_class where relnamespace = 'ringleader'::regnamespace and relkind = '${kind}'`;
    const { rows } = await owner.query<{ all: string }>(found);
    return rows[0].all;
  };
  const emptied = [
    'set session_replication_role = replica', // nothing is told, and any order will do
    await named('r', "format('delete from %s', oid::regclass)"),
    'set session_replication_role = origin',
    await named('S', "format('select setval(%L, 1, false)', oid::regclass)"),
  ].join('; ');
  const cleared = `vacuum ${(await named('r', 'oid::regclass::text')).replaceAll(';', ',')}`;
  let seeds = 0;
  return {
    async run(verb, text, params) {
      changes = [];
      const { rows } = await app.query<{ result: string | null }>({ name: verb, text, values: [...params] });
      return { text: rows[0]?.result ?? 'null', changes };
    },
    async ask<T>(text: string, params: readonly unknown[] = []) {
      const { rows } = await owner.query(text, [...params]);
      return rows as T[];
    },
    async empty() {
      await owner.query(emptied);
      seeds += 1;
      if (seeds % CLEARED_EVERY === 0) await owner.query(cleared);
    },
    async close() {
      await app.end();
      await owner.end();
    },
  };
};
