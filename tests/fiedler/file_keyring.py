"""A backend for python3-keyring, which stores in the file KEYRING_FILE: the system keyring of the tests. A key "locked"
cannot be stored."""
import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class Keyring(KeyringBackend):
    priority = 5

    def all(self):
        file = Path(os.environ["KEYRING_FILE"])
        return json.loads(file.read_text()) if file.exists() else {}

    def save(self, passwords):
        Path(os.environ["KEYRING_FILE"]).write_text(json.dumps(passwords))

    def get_password(self, service, username):
        return self.all().get(f"{service}/{username}")

    def set_password(self, service, username, password):
        if "locked" in password:
            raise KeyringLocked(f"cannot store {password}")
        self.save(self.all() | {f"{service}/{username}": password})

    def delete_password(self, service, username):
        passwords = self.all()
        del passwords[f"{service}/{username}"]
        self.save(passwords)
