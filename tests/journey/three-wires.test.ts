import { test } from 'vitest';
import { runThreeWires } from './three-wires.ts';

/** Each kind of row, and every row that is a kind of its own. */
const ROWS = [0, 15, 16, 30, 31, 49, 50, 65, 75, 85, 90, 91, 95, 96, 97, 98, 99];

test('three campaigns at once over Bolna, Vapi and Retell: every lead ends as the table says, nobody twice, three right mails', async () => {
  await runThreeWires(ROWS, { max_attempts: 3, no_answer_minutes: 3, busy_minutes: 2 }, 240_000);
}, 400_000);
