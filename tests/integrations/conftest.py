"""What is no test here is a part of one, and may import a framework that is missing."""

from pathlib import Path

here = Path(__file__).parent
collect_ignore = [path.name for path in here.glob("*.py") if not path.name.startswith("test_")]
