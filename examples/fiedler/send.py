"""Sends one package to several models at once.

Happy path: the package is compiled, all models are asked in parallel, each answer is written to its file as soon as it is
complete, and the result has a part of each text. Failure: a model that fails is an entry of the result; if all of them
fail, the call does. A call that is cancelled ends its requests.

Memory: at most MAX_SENDS packages, and answers of as many models as FIEDLER_MAX_REQUESTS.
"""
import asyncio
import time
import uuid

from .chat import ask
from .failure import INVALID_INPUT, PROVIDER_ERROR, Failure, shown
from .output import OutputDirectory, answer_name
from .package import compile_package

MAX_SENDS, MAX_MODELS = 8, 16
TEXT_BYTES = 128 * 1024  # of all texts in a result: with its JSON inside JSON it stays below 1 MiB, a common limit
PROGRESS_S = 1


class Progress:
    """Reports models that are done; those that answer count as a part of one."""

    def __init__(self, models, max_answer_bytes, report):
        self.parts, self.max_answer_bytes, self.report = [0.0] * models, max_answer_bytes, report
        self.reported, self.next_at = 0.0, 0.0

    def received(self, index, count):
        self.parts[index] = min(0.9, count / self.max_answer_bytes)
        now = time.monotonic()
        if now >= self.next_at and sum(self.parts) > self.reported:
            self.next_at = now + PROGRESS_S
            self.tell("answers are arriving")

    def done(self, index, result):
        self.parts[index] = 1.0
        self.tell(f"{result['model']}: {result['status']}")

    def tell(self, message):
        self.reported = sum(self.parts)
        self.report(self.reported, len(self.parts), message)


class Sender:
    def __init__(self, settings, keys, secrets, session):
        self.settings, self.keys, self.secrets, self.session = settings, keys, secrets, session
        self.slots = asyncio.Semaphore(settings.max_requests)
        self.running = 0

    async def send(self, prompt, files, models, output_parts, report):
        """report(progress, total, message) is called while models answer. Returns the result of fiedler_send."""
        if not 1 <= len(models) <= MAX_MODELS:
            raise Failure(INVALID_INPUT, f"{len(models)} models: name 1 to {MAX_MODELS}, or set them by fiedler_set_models")
        if self.running == MAX_SENDS:
            raise Failure(PROVIDER_ERROR, f"{MAX_SENDS} calls of fiedler_send are running: retry later")
        self.running += 1
        correlation_id = str(uuid.uuid4())
        output = OutputDirectory(self.settings.output_path, output_parts, correlation_id)
        try:
            limits = self.settings
            messages = await asyncio.to_thread(compile_package, prompt, files, limits.import_paths, limits.max_package_bytes)
            progress = Progress(len(models), limits.max_answer_bytes, report)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.one(index, model, messages, output, TEXT_BYTES // len(models), progress))
                         for index, model in enumerate(models)]
            return await self.result(correlation_id, [task.result() for task in tasks], output)
        finally:
            self.running -= 1
            asyncio.get_running_loop().run_in_executor(None, output.close)

    async def one(self, index, model, messages, output, text_bytes, progress):
        """Asks one model; returns its entry of the result."""
        result = {"model": model.name, "provider": model.provider.name}
        async with self.slots:
            began = time.monotonic()
            try:
                answer = await self.ask(index, model, messages, progress)
                path = await asyncio.to_thread(output.write, answer_name(index + 1, model.name), answer.text)
                text = answer.text.encode(errors="replace")[:text_bytes].decode(errors="ignore")
                result |= {"status": "success", "finish_reason": answer.finish_reason, "tokens": answer.tokens,
                           "output_file": path, "text": text, "text_truncated": len(text) < len(answer.text)}
            except Failure as failure:
                result |= {"status": "failed", "error": failure.as_object()}
            result["duration_s"] = round(time.monotonic() - began, 3)
        progress.done(index, result)
        return result

    async def ask(self, index, model, messages, progress):
        key = await key_for(self.keys, model.provider)
        return await ask(self.session, model, key, messages, self.secrets, self.settings.max_answer_bytes,
                         lambda count: progress.received(index, count))

    async def result(self, correlation_id, results, output):
        succeeded = sum(result["status"] == "success" for result in results)
        if succeeded == 0:
            reasons = "; ".join(f"{result['model']}: {result['error']['message']}" for result in results)
            raise Failure(PROVIDER_ERROR, f"no model answered: {shown(reasons, 1000)}", results=results)
        status = "success" if succeeded == len(results) else "partial_success"
        without_text = [{name: value for name, value in result.items() if name != "text"} for result in results]
        summary = {"status": status, "correlation_id": correlation_id, "output_dir": output.path}
        path = await asyncio.to_thread(output.write_json, "summary.json", summary | {"results": without_text})
        return summary | {"summary_file": path, "results": results}


async def key_for(keys, provider):
    """The provider's key; None if it needs none."""
    key = await keys.get(provider.name)
    if key is None and provider.needs_key:
        raise Failure(PROVIDER_ERROR, f"there is no key for {provider.name}: store one with fiedler_set_key")
    return key
