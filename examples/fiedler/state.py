"""What fiedler_set_models and fiedler_set_output have set, kept in a file over restarts.

Happy path: load() reads the file, each change writes it. Failure: a model that the model file no longer has is left out,
with a line in the log; a file that cannot be written is PROVIDER_ERROR and nothing is changed.
"""
import asyncio
import logging
import os

from .beneath import below, open_directory
from .failure import Failure
from .private_file import PrivateFile

log = logging.getLogger("fiedler")


class State:
    def __init__(self, path, models, output_path):
        self.file, self.all_models, self.output_path = PrivateFile(path), models, output_path
        self.models, self.output_parts = [], []
        self.lock = asyncio.Lock()

    def load(self):
        saved = self.file.read()
        names = saved.get("models")
        for name in names if isinstance(names, list) else []:
            try:
                self.models.append(self.all_models.find(name))
            except (Failure, TypeError):
                log.warning("a default model is no longer in the model file: set the models again")
        try:
            self.output_parts = below([self.output_path], saved.get("output_dir", self.output_path))[1]
        except (Failure, AttributeError):
            log.warning("the output directory is no longer below FIEDLER_OUTPUT_PATH: using that one")

    @property
    def output_dir(self):
        return os.path.join(self.output_path, *self.output_parts)

    async def set_models(self, names):
        async with self.lock:
            models = self.all_models.find_all(names)
            await self.save(models, self.output_parts)
            self.models = models

    async def set_output(self, path):
        async with self.lock:
            _, parts = below([self.output_path], path)
            await asyncio.to_thread(lambda: os.close(open_directory(self.output_path, parts, create=True)))
            await self.save(self.models, parts)
            self.output_parts = parts

    async def save(self, models, parts):
        value = {"models": [model.name for model in models], "output_dir": os.path.join(self.output_path, *parts)}
        await asyncio.to_thread(self.file.write, value)
