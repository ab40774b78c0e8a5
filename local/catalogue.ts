/** What stands in a database of ours, as a list of names with digests that can be compared with another database's. */
import type { Client } from 'pg';

/** Names (`column ringleader.leads.phone`) with a digest of everything that defines them. */
export type Catalogue = Map<string, string>;

const OURS = "to_regnamespace('ringleader')";
/** An array in one order: rights and settings stand in that in which they were given. */
const sorted = (array: string, type = 'text'): string =>
  `(select string_agg(x::${type}::text, ' ' order by x::${type}::text) from unnest(${array}) x)`;

interface Kind {
  /** SQL for the name of one. */
  name: string;
  /** SQL for everything that defines it: no OID, so that two databases can be compared. */
  parts: readonly string[];
  from: string;
}

const KINDS: readonly Kind[] = [
  {
    name: "'schema ' || n.nspname",
    parts: ['n.nspowner::regrole', sorted('n.nspacl')],
    from: `pg_namespace n where n.oid = ${OURS}`,
  },
  {
    name: "'function ' || p.oid::regprocedure",
    parts: ['pg_get_functiondef(p.oid)', 'p.proowner::regrole', sorted('p.proacl')],
    from: `pg_proc p where p.pronamespace = ${OURS} and p.prokind in ('f', 'p')`,
  },
  {
    name: "case c.relkind when 'S' then 'sequence ' when 'v' then 'view ' else 'table ' end || c.oid::regclass",
    parts: [
      'c.relpersistence',
      'c.relrowsecurity',
      'c.relforcerowsecurity',
      sorted('c.reloptions'),
      'c.relowner::regrole',
      sorted('c.relacl'),
      "case when c.relkind = 'v' then pg_get_viewdef(c.oid) end",
      's.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle',
    ],
    from: `pg_class c left join pg_sequence s on s.seqrelid = c.oid where c.relnamespace = ${OURS} and c.relkind in ('r', 'p', 'v', 'S')`,
  },
  {
    name: "'column ' || c.oid::regclass || '.' || a.attname",
    parts: [
      'format_type(a.atttypid, a.atttypmod)',
      'a.attnotnull',
      'pg_get_expr(d.adbin, d.adrelid)',
      'a.attidentity',
      'a.attgenerated',
      'a.attcollation::regcollation',
      'a.attstorage',
      sorted('a.attacl'),
    ],
    from: `pg_class c join pg_attribute a on a.attrelid = c.oid left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
      where c.relnamespace = ${OURS} and c.relkind in ('r', 'p', 'v') and a.attnum > 0 and not a.attisdropped`,
  },
  {
    name: "'index ' || c.oid::regclass",
    parts: ['pg_get_indexdef(c.oid)', 'i.indisvalid', 'i.indisclustered', 'i.indisreplident'],
    from: `pg_class c join pg_index i on i.indexrelid = c.oid where c.relnamespace = ${OURS}`,
  },
  {
    name: "'constraint ' || k.conrelid::regclass || '.' || k.conname",
    parts: ['pg_get_constraintdef(k.oid)'],
    from: `pg_constraint k where k.connamespace = ${OURS} and k.conrelid <> 0`,
  },
  {
    name: "'trigger ' || t.tgrelid::regclass || '.' || t.tgname",
    parts: ['pg_get_triggerdef(t.oid)', 't.tgenabled'],
    from: `pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace = ${OURS} and not t.tgisinternal`,
  },
  {
    name: "'policy ' || l.polrelid::regclass || '.' || l.polname",
    parts: [
      'l.polcmd',
      'l.polpermissive',
      sorted('l.polroles', 'regrole'),
      'pg_get_expr(l.polqual, l.polrelid)',
      'pg_get_expr(l.polwithcheck, l.polrelid)',
    ],
    from: `pg_policy l join pg_class c on c.oid = l.polrelid where c.relnamespace = ${OURS}`,
  },
  {
    name: "'type ' || y.oid::regtype",
    parts: [
      'format_type(y.typbasetype, y.typtypmod)',
      'y.typnotnull',
      'y.typdefault',
      'y.typowner::regrole',
      "(select string_agg(e.enumlabel, ' ' order by e.enumsortorder) from pg_enum e where e.enumtypid = y.oid)",
      "(select string_agg(pg_get_constraintdef(k.oid), ' ' order by k.conname) from pg_constraint k where k.contypid = y.oid)",
    ],
    from: `pg_type y where y.typnamespace = ${OURS} and y.typtype in ('e', 'd', 'r')`,
  },
  {
    name: "'comment on ' || t.type || ' ' || t.identity",
    parts: ['o.description'],
    from: `pg_description o cross join pg_identify_object(o.classoid, o.objoid, o.objsubid) t
      where o.objoid >= 16384 and 'ringleader' in (t.schema, t.identity)`,
  },
  {
    name: "'role ' || r.rolname",
    parts: [
      'r.rolcanlogin, r.rolsuper, r.rolinherit, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolconnlimit, r.rolvaliduntil',
      sorted('r.rolconfig'),
      sorted('array(select m.roleid from pg_auth_members m where m.member = r.oid)', 'regrole'),
    ],
    from: "pg_roles r where r.rolname like 'ringleader\\_%'",
  },
];

const CATALOGUE = KINDS.map(
  ({ name, parts, from }) => `select ${name} as name, md5(row(${parts.join(', ')})::text) as digest from ${from}`,
);

/** What stands in the schema now, and the roles that go with it. Comparable between any two databases, of one server or two. */
export const catalogueOf = async (client: Client): Promise<Catalogue> => {
  const { rows } = await client.query<{ name: string; digest: string }>(CATALOGUE.join('\nunion all\n'));
  return new Map(rows.map(({ name, digest }) => [name, digest]));
};

/** Names of what came, is another now, or is gone. */
export interface Difference {
  made: string[];
  changed: string[];
  dropped: string[];
}

export const differenceOf = (before: Catalogue, after: Catalogue): Difference => ({
  made: [...after.keys()].filter((name) => !before.has(name)),
  changed: [...after].filter(([name, digest]) => before.has(name) && before.get(name) !== digest).map(([name]) => name),
  dropped: [...before.keys()].filter((name) => !after.has(name)),
});
