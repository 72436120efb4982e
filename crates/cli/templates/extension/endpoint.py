import json
from collections.abc import Generator, Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response


class {{ class }}Endpoint(Endpoint):
    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        """Called for each request. What the generator yields is sent at once."""

        def stream() -> Generator[str, None, None]:
            for word in ("hello", r.args.get("name", "world")):
                yield json.dumps({"word": word}) + "\n"

        return Response(stream(), status=200, content_type="application/x-ndjson")
