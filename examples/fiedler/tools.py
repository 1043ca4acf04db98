"""The eight tools: their definitions, which callers depend on word for word, and their functions.

Happy path: register() adds them to a server of iccm_network, which checks arguments by the schemas, and responds to
missing arguments and unknown tools itself. Failure: a Failure becomes a ToolError whose data is the object that Fiedler has
always returned, {"error": {"code": ..., "message": ...}}; anything else is INTERNAL_ERROR, and the log has the rest.
"""
import functools
import logging

from iccm_network import ToolError, current_call

from .failure import INTERNAL_ERROR, INVALID_INPUT, Failure
from .send import MAX_MODELS

log = logging.getLogger("fiedler")
NOTE = "this machine has no system keyring: keys are in a file that only Fiedler's user can read, not encrypted"


def an_object(required, **properties):
    return {"type": "object", "properties": properties, "required": required}


def texts(description):
    return {"type": "array", "items": {"type": "string"}, "description": description}


def text(description, **more):
    return {"type": "string", "description": description, **more}


PROVIDER = text("Provider name: google, openai, together, or xai")
DEFINITIONS = {
    "fiedler_list_models": (
        "List all available LLM models with their properties (name, provider, aliases, max_tokens, capabilities).",
        an_object([]),
    ),
    "fiedler_set_models": (
        "Configure default models for fiedler_send. Accepts list of model IDs or aliases.",
        an_object(["models"], models=texts("List of model IDs or aliases to use as defaults")),
    ),
    "fiedler_set_output": (
        "Configure output directory for fiedler_send results.",
        an_object(["output_dir"], output_dir=text("Path to output directory")),
    ),
    "fiedler_get_config": (
        "Get current Fiedler configuration (models, output_dir, total_available_models).",
        an_object([]),
    ),
    "fiedler_send": (
        "Send prompt and optional package files to configured LLMs. Returns results from all models in parallel.",
        an_object(
            ["prompt"],
            prompt=text("User prompt or question to send to models"),
            files=texts("Optional list of file paths to compile into package"),
            models=texts("Optional override of default models (use model IDs or aliases)"),
        ),
    ),
    "fiedler_set_key": (
        "Store API key securely in system keyring (encrypted). Replaces need for environment variables.",
        an_object(
            ["provider", "api_key"],
            provider=PROVIDER,
            api_key=text("API key to store (will be encrypted by OS keyring)", format="password", writeOnly=True),
        ),
    ),
    "fiedler_delete_key": ("Delete stored API key from system keyring.", an_object(["provider"], provider=PROVIDER)),
    "fiedler_list_keys": ("List providers that have API keys stored in system keyring.", an_object([])),
}


class Tools:
    def __init__(self, models, keys, state, sender):
        self.models, self.keys, self.state, self.sender = models, keys, state, sender

    def register(self, server):
        for name, (description, schema) in DEFINITIONS.items():
            server.tool(name=name, description=description, schema=schema)(with_failures(getattr(self, name)))

    async def fiedler_list_models(self):
        return {"models": [
            {"name": model.name, "provider": model.provider.name, "aliases": model.aliases, "max_tokens": model.max_tokens,
             "capabilities": model.capabilities} for model in self.models.all]}

    async def fiedler_set_models(self, models):
        if not 1 <= len(models) <= MAX_MODELS:
            raise Failure(INVALID_INPUT, f"{len(models)} models: name 1 to {MAX_MODELS}")
        await self.state.set_models(models)
        return {"status": "configured", "models": [model.name for model in self.state.models]}

    async def fiedler_set_output(self, output_dir):
        await self.state.set_output(output_dir)
        return {"status": "configured", "output_dir": self.state.output_dir}

    async def fiedler_get_config(self):
        return {"models": [model.name for model in self.state.models], "output_dir": self.state.output_dir,
                "total_available_models": len(self.models.all)}

    async def fiedler_send(self, prompt, files=(), models=None):
        chosen = self.state.models if models is None else self.models.find_all(models)
        report = current_call().progress
        return await self.sender.send(prompt, files, chosen, self.state.output_parts, report)

    async def fiedler_set_key(self, provider, api_key):
        await self.keys.set(self.models.provider(provider).name, api_key)
        return {"status": "stored", "provider": provider} | self.storage()

    async def fiedler_delete_key(self, provider):
        if not await self.keys.delete(self.models.provider(provider).name):
            raise Failure(INVALID_INPUT, f"there is no key for {provider}")
        return {"status": "deleted", "provider": provider}

    async def fiedler_list_keys(self):
        return {"providers": await self.keys.list()} | self.storage()

    def storage(self):
        return {"storage": self.keys.store.name} | ({"note": NOTE} if self.keys.store.name == "file" else {})


def with_failures(function):
    @functools.wraps(function)  # the server looks at its parameters
    async def run(**arguments):
        try:
            return await function(**arguments)
        except Failure as failure:
            raise ToolError(str(failure), data={"error": failure.as_object()}) from None
        except Exception as defect:
            log.exception("%s failed", function.__name__)
            error = Failure(INTERNAL_ERROR, "internal error, see the log of fiedler", type=type(defect).__name__)
            raise ToolError(str(error), data={"error": error.as_object()}) from None

    return run
