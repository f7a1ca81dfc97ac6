/** Begins the tasks in their order, some at once. A failed one is told by its promise, when somebody asks. */
export function inTurns<T>(atOnce: number, tasks: readonly (() => Promise<T>)[]): Promise<T>[] {
  const results = tasks.map(() => Promise.withResolvers<T>());
  const left = tasks.entries();
  const work = async (): Promise<void> => {
    for (const [i, task] of left) {
      await task().then(results[i]?.resolve, results[i]?.reject);
    }
  };
  for (let i = 0; i < atOnce; i++) void work();
  for (const { promise } of results) promise.catch(() => undefined);
  return results.map(({ promise }) => promise);
}
