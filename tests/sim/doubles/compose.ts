/** Stands for `lib/compose.ts` in a simulation: the seam is filled by the simulated platform. */
import type { compose as real } from '../../../lib/compose.ts';
import type { SimInvocation } from '../platform.ts';

export const compose: typeof real = (invocation, db) => (invocation as SimInvocation).depsOver(invocation as SimInvocation, db);
