"""Reads a saved mail with Python's own library, and prints what a mail program would show."""
import email
import email.policy
import json
import platform
import sys

with open(sys.argv[1], "rb") as file:
    mail = email.message_from_binary_file(file, policy=email.policy.default)
parts = [part for part in mail.walk() if not part.is_multipart()]
texts = [part.get_content() for part in parts if part.get_filename() is None]
files = [{"name": part.get_filename(), "content": part.get_content().decode()} for part in parts if part.get_filename()]
print(json.dumps({
    "version": platform.python_version(), "subject": mail["subject"], "from": mail["from"],
    "text": "\n".join(texts), "files": files, "defects": [str(defect) for defect in mail.defects],
}))
