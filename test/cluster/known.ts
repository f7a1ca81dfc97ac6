import type { Cluster } from './real-node.ts';

/**
 * Waits until the API server serves kinds whose CRDs were just applied: before, a client does not find them, and helm leaves
 * out what needs them. Throws Error after a minute. `kinds`: as kubectl takes them, with commas.
 */
export function untilKnown({ kubectl }: Pick<Cluster, 'kubectl'>, kinds: string): void {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const { code, output } = kubectl(['get', kinds, '--all-namespaces']);
    if (code === 0) return;
    if (Date.now() > deadline) throw new Error(`${kinds} are not served: ${output}`);
  }
}
