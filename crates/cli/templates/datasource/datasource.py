from collections.abc import Generator, Mapping
from typing import Any

from dify_plugin.entities.datasource import (
    DatasourceGetPagesResponse,
    DatasourceMessage,
    GetOnlineDocumentPageContentRequest,
    OnlineDocumentInfo,
    OnlineDocumentPage,
)
from dify_plugin.interfaces.datasource.online_document import OnlineDocumentDatasource

# For a site, derive from `dify_plugin.interfaces.datasource.website.WebsiteCrawlDatasource` and write
# `_get_website_crawl`; for files, from `...online_drive.OnlineDriveDatasource`, and write `_browse_files` and
# `_download_file`. Change `provider_type` in provider/{{ name }}.yaml accordingly.

PAGES = {"welcome": "Welcome", "next-steps": "Next steps"}  # ask your service instead


class {{ class }}DataSource(OnlineDocumentDatasource):
    def _get_pages(self, datasource_parameters: Mapping[str, Any]) -> DatasourceGetPagesResponse:
        """Lists the pages a user can choose from. The credentials are in self.runtime.credentials."""
        limit = int(datasource_parameters.get("limit") or 10)
        pages = [
            OnlineDocumentPage(
                page_id=page_id,
                page_name=title,
                page_icon=None,
                type="page",
                last_edited_time="2024-01-01T00:00:00Z",
                parent_id=None,
            )
            for page_id, title in list(PAGES.items())[:limit]
        ]
        workspace = OnlineDocumentInfo(
            workspace_id="workspace", workspace_name="Workspace", workspace_icon="", total=len(pages), pages=pages
        )
        return DatasourceGetPagesResponse(result=[workspace])

    def _get_content(self, page: GetOnlineDocumentPageContentRequest) -> Generator[DatasourceMessage, None, None]:
        """Gives the text of one page, in the variables that `output_schema` declares."""
        if page.page_id not in PAGES:
            raise ValueError(f"there is no page {page.page_id}")
        yield self.create_variable_message("content", f"# {PAGES[page.page_id]}\n\nNothing is written here yet.")
        yield self.create_variable_message("page_id", page.page_id)
        yield self.create_variable_message("workspace_id", page.workspace_id)
