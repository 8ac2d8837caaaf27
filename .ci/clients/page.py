"""Opens the page of the document in a real browser, and checks what it shows and what its policy refuses."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "chrome"]


def main():
    base = sys.argv[1]
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser: install one of {', '.join(BROWSERS)}")
    with urllib.request.urlopen(f"{base}/_sandbox/openapi.json") as answer:
        document = json.load(answer)
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--enable-logging=stderr",
            "--v=0", "--virtual-time-budget=20000", "--dump-dom", f"{base}/_sandbox/docs",
        ]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    refused = [line for line in console if re.search("Content Security Policy|Refused|Error", line)]
    assert not refused, "\n".join(refused)
    groups = [tag["name"] for tag in document["tags"]]
    missing = [name for name in groups if f">{name}<" not in shown.stdout]
    assert not missing, f"the page does not show {missing}: {shown.stdout[:2000]}"
    assert document["info"]["title"] in shown.stdout
    print(f"{len(groups)} groups shown by {browser}")


main()
