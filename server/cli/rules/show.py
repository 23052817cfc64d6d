"""`wardlaw rules show`: all about one rule."""

from __future__ import annotations

import click

from rules.errors import WardlawError
from server.cli._json import as_text


@click.command("show", short_help="show all about one rule")
@click.argument("rule_id", metavar="ID")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--lang", default="en", show_default=True, help="Language to show it in, as `zh`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, in all languages.")
@click.option("--copy", "as_copy", is_flag=True, help="Print a file that repeats its patterns and examples, to change.")
def command(rule_id: str, paths: tuple[str, ...], lang: str, as_json: bool, as_copy: bool) -> None:
    """Show all about one rule of PATH, or of the pack `base`: what docs/rules/ says of it, and where it is written.

    At its end stand the lines that switch it off, only record what it finds, or make it milder.
    """
    from rules.digest import rule_digest
    from rules.files import pack_of
    from rules.load import load
    from rules.text import is_language
    from rules.words import did_you_mean, listed, quoted
    from server.cli.rules._ids import refuse_pack
    from server.cli.rules._page import rule_page
    from server.pages.allowing import copied

    loaded = load(*(paths or ("base",)))
    try:
        rule = loaded.constitution.rule(rule_id)
    except KeyError:
        refuse_pack(rule_id)
        ids = [each.id for each in loaded.constitution]
        hint = did_you_mean(rule_id, ids, _some_of(rule_id, ids))
        if not paths:
            hint += f"{'' if hint.endswith('?') else ';'} for a rule of your own, name its file after the id"
        raise WardlawError(f"no rule {quoted(rule_id)} in {listed(paths or ('base',))}", hint) from None
    if not as_json and not is_language(lang):
        tags = sorted({tag for text in (rule.title, rule.rule, rule.why) for tag in text.root} - {"und"})
        known = f"the rule is written in {listed(tags)}" if tags else "the rule is written without a language tag"
        raise WardlawError(f"unknown language tag {quoted(lang)}", known)
    where = loaded.locate(rule_id)
    pack = pack_of(where.path)
    if as_copy:
        click.echo(copied(rule, pack), nl=False)
    elif as_json:
        content = rule.model_dump(mode="json", exclude_defaults=True)
        click.echo(as_text({**content, "digest": rule_digest(rule), "where": str(where)}))
    else:
        click.echo(rule_page(rule, str(where), rule_digest(rule), lang, pack))


def _some_of(rule_id: str, ids: list[str]) -> str:
    """The ids of a constitution: all where they are few, else those that look most like the one asked for."""
    import difflib

    from rules.words import listed

    if len(ids) <= 8:
        return f"it has {listed(ids)}"
    near = difflib.get_close_matches(rule_id[:100], ids, n=3, cutoff=0.0)
    return f"nearest of its {len(ids)} rules are {listed(near)}"
