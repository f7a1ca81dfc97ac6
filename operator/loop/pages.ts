import type { Cluster, Page, Selection } from '../cluster/cluster.ts';
import type { Resource } from '../cluster/resource.ts';

const pageSize = 500;

/** A whole list, page by page. Rejects with ApiError where a page is refused. */
export async function* pages(
  cluster: Cluster,
  resource: Resource,
  selection: Selection,
  signal?: AbortSignal,
): AsyncGenerator<Page, void> {
  let page: Page | undefined;
  do {
    page = await cluster.list(resource, selection, { limit: pageSize, continue: page?.continue }, signal);
    yield page;
  } while (page.continue !== undefined);
}
