"""`python -m perception.web.openapi`: the API as OpenAPI 3.1 says it; docs/openapi.json is this."""

import json

from perception.web.app import openapi

if __name__ == "__main__":
    print(json.dumps(openapi(), indent=1, sort_keys=True))
