// The quick checks, without a database: format, lint (type-aware), types. `npm run check`.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const bin = (name) => path.join('node_modules', '.bin', name);
const steps = [
  ['format', bin('prettier'), ['--check', '--log-level', 'warn', '.']],
  ['lint', bin('oxlint'), ['--type-aware', '--deny-warnings']],
  ['types of the worker', bin('tsc'), ['-p', 'tsconfig.json']],
  ['types of everything else', bin('tsc'), ['-p', 'tsconfig.node.json']],
];

let failed = 0;
for (const [name, command, args] of steps) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) {
    failed += 1;
    console.error(`${String(name)}: failed\n${String(stdout)}${String(stderr)}`);
  }
}
if (failed > 0) process.exit(1);
console.log('check: format, lint and types are in order');
