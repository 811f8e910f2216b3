"""IDs as primary keys with Django: a field that takes them from the fleet. In a project, `SnowflakeField` and the client are a module of their own."""
from __future__ import annotations

import sys
from typing import Any

import django
from django.conf import settings
from django.db import connection, models

from snowfleet import Client


class SnowflakeField(models.BigIntegerField):  # type: ignore[type-arg]
    """A primary key from the fleet. Forms and JSON get it as a string where they ask `value_to_string`."""

    client: Client  # set once, at the start of the program; forked workers go on with it

    def __init__(self, **options: Any):
        options.setdefault("primary_key", True)
        options.setdefault("editable", False)
        super().__init__(**options)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = getattr(model_instance, self.attname)
        if value is None and add:
            value = self.client.next()
            setattr(model_instance, self.attname, value)
        return value


def main(servers: str) -> list[int]:
    """Writes two articles; their IDs as they were read back."""
    if not settings.configured:
        settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, INSTALLED_APPS=[])
        django.setup()
    with Client(servers) as client:
        SnowflakeField.client = client

        class Article(models.Model):
            id = SnowflakeField()
            title = models.CharField(max_length=100)

            class Meta:
                app_label = "example"

        with connection.schema_editor() as editor:
            editor.create_model(Article)
        for title in ("one", "two"):
            Article(title=title).save(force_insert=True)
        return [article.id for article in Article.objects.order_by("id")]


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
