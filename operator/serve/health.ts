/** Silent watches are dropped after 100 s and opened again. What is older than this is no present view. */
const staleSeconds = 180;
const deadSeconds = 600;

/** Whether what is known of some kind is too old to be called ready. `ages`: seconds since each watch was last heard. */
export const isStale = (ages: readonly number[]): boolean => ages.some((age) => age > staleSeconds);

/**
 * Whether a watch is dead while the API server still talks on another: only a restart is left to help. Where it is silent
 * on all, it is away, and a restart would help nobody.
 */
export const isStuck = (ages: readonly number[]): boolean =>
  ages.some((age) => age > deadSeconds) && ages.some((age) => age <= staleSeconds);
