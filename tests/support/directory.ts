/** Directories for test data: in memory where the system offers that, swept when their owner did not get to it. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isSame, know } from '../../local/process-table.ts';

const BASE = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
const PREFIX = 'ringleader-test-';

/** A new directory that Postgres's user can enter; its name says which process made it. */
export const testDirectory = (kind: string): string => {
  const { pid, birth } = know(process.pid);
  const directory = fs.mkdtempSync(path.join(BASE, `${PREFIX}${pid}-${birth.replaceAll(/\W/g, '_')}-${kind}-`));
  fs.chmodSync(directory, 0o755);
  return directory;
};

/** Removes what killed test runs of ours left behind. */
export const sweep = (): void => {
  for (const name of fs.readdirSync(BASE)) {
    const [, pid, birth] = /^ringleader-test-(\d+)-(\w+?)-/.exec(name) ?? [];
    if (pid === undefined || birth === undefined) continue;
    const owner = know(Number(pid));
    if (owner.birth.replaceAll(/\W/g, '_') === birth && isSame(owner)) continue;
    if (fs.statSync(path.join(BASE, name)).uid !== process.getuid?.()) continue;
    fs.rmSync(path.join(BASE, name), { recursive: true, force: true });
  }
};
