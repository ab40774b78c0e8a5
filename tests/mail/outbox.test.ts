import { outboxTests } from './outbox.ts';

await outboxTests({ campaigns: 30, deaths: 24 });
