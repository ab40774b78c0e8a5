import { test } from 'vitest';
import { runThreeWires } from './three-wires.ts';

const TABLE = Array.from({ length: 100 }, (_, n) => n);

test('the whole table with the default retries, on three wires at once', async () => {
  const stats = await runThreeWires(TABLE, {}, 1_200_000);
  console.log(JSON.stringify(stats));
}, 1_500_000);
