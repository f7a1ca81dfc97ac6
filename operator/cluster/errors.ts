/** What the API server said when it refused. */
export class ApiError extends Error {
  readonly code: number;
  /** A word of the API's, such as `AlreadyExists`, `Conflict` or `Expired`. */
  readonly reason: string;
  /** Seconds that the server asked to wait. */
  readonly retryAfter: number | undefined;

  constructor(code: number, reason: string, message: string, retryAfter?: number) {
    super(`${message} (${code} ${reason})`);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

interface StatusObject {
  code?: number;
  reason?: string;
  message?: string;
}

/** The error of a refused request: its Status object's words, or what the body begins with when it is none. */
export function apiError(code: number, body: string, retryAfter?: string | null): ApiError {
  const seconds = Number(retryAfter ?? Number.NaN);
  const wait = Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined;
  const { reason = 'Unknown', message = body.slice(0, 200) } = parse(body);
  return new ApiError(code, reason, message, wait);
}

function parse(body: string): StatusObject {
  try {
    return (JSON.parse(body) ?? {}) as StatusObject;
  } catch {
    return {};
  }
}

const hasReason =
  (...reasons: string[]) =>
  (error: unknown): boolean =>
    error instanceof ApiError && reasons.includes(error.reason);

export const isNotFound = hasReason('NotFound');
export const isAlreadyExists = hasReason('AlreadyExists');
/** The object changed since it was read. */
export const isConflict = hasReason('Conflict');
/** The right to it is missing, as it is in a namespace that was deleted with its Roles. */
export const isForbidden = (error: unknown): boolean => error instanceof ApiError && error.code === 403;
/** What was sent can never be taken as it is: no sense in sending it again. */
export const isInvalid = (error: unknown): boolean =>
  error instanceof ApiError && (error.code === 400 || error.code === 422);
/** What was sent is not taken as things are: it is wrong, not allowed, or there is no room for it. */
export const isRefused = (error: unknown): error is ApiError => isInvalid(error) || isForbidden(error);
/** The version to watch from, or the page's token, is too old: list anew. */
export const isExpired = (error: unknown): boolean =>
  error instanceof ApiError && (error.code === 410 || error.reason === 'Expired');
