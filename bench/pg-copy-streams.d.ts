/** What we use of a package that brings no types. */
declare module 'pg-copy-streams' {
  import type { Writable } from 'node:stream';
  import type { Submittable } from 'pg';
  /** A `COPY … FROM STDIN` to write to. */
  export function from(text: string): Writable & Submittable;
}
