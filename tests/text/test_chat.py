"""Chat templates as transformers renders them, and templates that mean harm."""

import json
import time
from pathlib import Path

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from clearhead.errors import UserError
from clearhead.text.chat import CHATML, ChatTemplate
from clearhead.text.load import load_chat_template

CHAT = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": "Say 'hé' & <b> 👋\n{{ 7 * 7 }}"},
    {"role": "assistant", "content": "  hé  "},
    {"role": "user", "content": "And {% raw %}?", "extra": {"a": [1, None]}},
]
LLAMA = (  # the manner of Llama 3: bos_token, trim, an assistant's turn, dates left out
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim"
    " + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
BLOCKS = """
    {%- if tools is defined %}
        {{- tools | tojson(indent=2) }}
    {% endif %}
    {% for m in messages %}
        {% if m.role == 'system' %}{% continue %}{% endif %}
[{{ m.role|upper }}] {{ m.content }}
        {% if m.extra %}{{ m.extra | tojson }}{% break %}{% endif %}
    {% endfor %}
"""
MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<{% generation %}{{ m.content }}!{% endgeneration %}>"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
)


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("source", [CHATML, LLAMA, BLOCKS, MARKED], ids=["chatml", "llama", "blocks", "marked"])
def test_text_is_that_of_transformers(source: str, prompt: bool) -> None:
    tools = [{"type": "function", "name": "é<&>"}]
    template = ChatTemplate(source, {"bos_token": "<s>"})
    peer, spans = render_jinja_template(
        [CHAT], tools=tools, chat_template=source, add_generation_prompt=prompt, bos_token="<s>",
        return_assistant_tokens_mask="generation" in source,
    )  # fmt: skip
    rendered = template.render(CHAT, prompt, tools=tools)
    assert rendered.text == peer[0]
    assert rendered.written == ([tuple(span) for span in spans[0]] if spans else [])
    template.close()


def test_what_the_model_writes_is_found_again() -> None:
    text, written = ChatTemplate(MARKED).render([*CHAT, {"role": "assistant", "content": "\x020\x03"}])
    assert [text[start:end] for start, end in written] == ["  hé  !", "\x020\x03!"]


def test_one_process_renders_many_chats() -> None:
    template = ChatTemplate("{{ messages[0].content }}")
    template.render([{"role": "user", "content": "x"}])
    worker = template._process._process
    start = time.perf_counter()
    for i in range(100):
        assert template.render([{"role": "user", "content": str(i) * 2000}]).text == str(i) * 2000
    assert time.perf_counter() - start < 5
    assert template._process._process is worker and worker is not None
    del template
    assert worker.poll() is not None  # and it goes with its template


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
        ("{{ cycler.__init__.__globals__.os.system('true') }}", "SecurityError"),
        ("{{ lipsum.__globals__['os'] }}", "unsafe|undefined|SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError"),
        ("{% set _ = messages[0].update(a=1) %}", "SecurityError"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{% import 'os' as os %}", "no loader"),
        ("{{ open('/etc/passwd') }}", "'open' is undefined"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "OverflowError"),
        ("{{ 'a' * 10 ** 11 }}", "MemoryError"),
        ("{{ ('a' * 10 ** 9) | length }}", "MemoryError"),  # which this machine has, and a template has not
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{ 'x' * 20000000 }}", "20,000,000 characters"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ raise_exception('roles must\nalternate') }}", "roles must"),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ messages[7].content }}", "UndefinedError"),
        (
            "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
            "MemoryError|did not end within",
        ),
    ],
)
def test_a_template_that_means_harm_is_one_line(source: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as raised:
        ChatTemplate(source).render(CHAT)
    assert len(str(raised.value)) < 500


def test_format_reaches_nothing() -> None:
    assert ChatTemplate("{{ '{0.__class__.__init__}'.format(messages) }}").render(CHAT).text == ""


def test_a_template_without_end_is_ended_and_the_next_chat_is_rendered() -> None:
    loop = "{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}"
    template = ChatTemplate("{% if messages[0].content == 'loop' %}" + loop + "{% endif %}ok", seconds=1.5)
    with pytest.raises(UserError, match=r"did not end within 1\.5 seconds and 512 MB"):
        template.render([{"role": "user", "content": "loop"}])
    assert template.render([{"role": "user", "content": "x"}]).text == "ok"
    with pytest.raises(UserError, match="did not end"):  # in the compiler, where constants are folded
        ChatTemplate("{{ 9 ** (9 ** 9) }}", seconds=1.0).render(CHAT)


def test_even_without_a_sandbox_no_file_could_be_opened(run_python) -> None:  # type: ignore[no-untyped-def]
    """The limits of the process hold on their own: with the sandbox taken away a template still reads nothing."""
    printed = run_python(
        "import io, json, sys; from clearhead.text import chat_worker as w\n"
        "class Open(w.ImmutableSandboxedEnvironment):\n"
        "    def is_safe_attribute(self, *args): return True\n"
        "w.ImmutableSandboxedEnvironment = Open\n"
        "template = \"{{ cycler.__init__.__globals__['__builtins__']['open']('/etc/passwd').read() }}\"\n"
        "request = {'template': template, 'variables': {}, 'seconds': 5}\n"
        "print(json.dumps(w.answer(request))); sys.stdout.flush()\n"
        "sys.stdin = io.StringIO(json.dumps(request)); w.serve()"
    )
    before, after = map(json.loads, printed.splitlines())
    assert "root" in before["text"]  # so the attack is real
    assert "Too many open files" in after["error"]


def test_a_message_without_a_role() -> None:
    with pytest.raises(UserError, match="message 2 of the chat has no role"):
        ChatTemplate(CHATML).render([CHAT[0], {"content": "x"}])


def test_templates_are_found_where_they_lie(tmp_path: Path) -> None:
    assert load_chat_template(tmp_path) is None
    several = [{"name": "tools", "template": "t"}, {"name": "default", "template": "{{ eos_token }}d"}]
    config = {"chat_template": several, "eos_token": {"content": "</s>"}, "bos_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    found = load_chat_template(tmp_path)
    assert found is not None and found.render([]).text == "</s>d"
    (tmp_path / "chat_template.jinja").write_text("alone {{ eos_token }}", encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    found = load_chat_template(tmp_path / "tokenizer.json")
    assert found is not None and found.render([]).text == "alone </s>"
