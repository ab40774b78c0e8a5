import { outboxTests } from './outbox.ts';

await outboxTests({ campaigns: 200, deaths: 216 });
