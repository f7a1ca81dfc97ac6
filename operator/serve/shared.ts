const keptMilliseconds = 1000;

/**
 * What is made at most once a second, however many ask: all get the same. Metrics of thousands of DPOJobs take a quarter of
 * a second in one piece and have megabytes; for each of many scrapes anew they would leave no time to renew the lease.
 */
export function shared<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().finally(() => setTimeout(() => (made = undefined), keptMilliseconds).unref());
    return made;
  };
}
