"""What the words of a line say about it: is it a question, a label, a link of navigation, or the name of a section?

Languages: some twenty, English first; of most only what begins a question. Every pattern is linear in the length of
its line. Deliberately not here: where lines begin and end (`page.py`).
"""

import re

LONGEST = 2000  # characters of a line that are looked at
OPENERS = (  # words that begin a question or a task even where no question mark ends it
    "what whats what's why how which who whom whose explain describe define derive compare contrast discuss list name"
    " state give prove show write implement design calculate compute find evaluate differentiate distinguish outline"
    " sketch tell walk talk estimate draw summarize mention illustrate identify justify create build reverse solve"
    " simplify predict determine interpret elaborate argue provide analyze difference differences comment cite"
    # German
    " was wie warum wieso weshalb welche welcher welches wann wer wozu erkläre erklären beschreibe beschreiben nenne"
    " nennen vergleiche definiere unterschied"
    # French
    " quel quelle quels quelles comment pourquoi qu'est-ce qu’est-ce expliquez explique expliquer décrivez décrire"
    " définissez définir citez donnez comparez différence"
    # Spanish
    " qué que cuál cual cuáles cuales cómo como explica explique describa describe defina define menciona mencione"
    " diferencia diferencias enumera compara"
    # Portuguese
    " qual quais explique descreva cite comente diferencie diferença diferenças desenvolva fale conte"
    # Italian
    " cos'è cos’è cosa perché quale quali spiega spiegare descrivi differenza"
    # Russian and Ukrainian
    " что как почему зачем какие какой какая какое чем объясните опишите расскажите назовите приведите сравните"
    " що як чому навіщо які який яка яке чим поясніть опишіть розкажіть назвіть"
    # Polish
    " co jak dlaczego czym jaki jaka jakie jakich kto kiedy opisz wyjaśnij wymień porównaj różnica"
    # Vietnamese
    " trình tại hãy giải nêu phân liệt"
    # Indonesian
    " apa apakah bagaimana mengapa kenapa jelaskan sebutkan"
    # Turkish
    " nasıl neden açıklayın"
    # Hindi
    " क्या कैसे क्यों समझाइए बताइए"
)
FIRST = frozenset(OPENERS.split())
TASK = re.compile(
    r"(?:[,.:-]|[\"”'’]) (?:then |and |please )?(?:list|compute|calculate|find|derive|apply|explain|describe|show|prove|write|"
    r"implement|estimate|determine|give|name|design|predict|create|draw)\b",
    re.IGNORECASE,
)
IMPERATIVE = re.compile(r"(?:Briefly )?(?:Explain|Describe|Define|Derive|Compare|Discuss|Prove|Tell me|Walk me)\b")
SETTING = frozenset("given suppose assume for consider imagine if let in you your with using from there".split())
NAMING = frozenset(("of", "=", "-", ":", "–", "—", "to"))  # "List of papers", "How to contribute" name a section
STARTS = re.compile(  # questions that two words begin, or a part of one
    r"(?:o que|por qu[eê]|para que|me (?:fale|conte|diga)|à quoi|en quoi|est-ce que|come (?:si|funziona)|"
    r"(?:la|las|les|der|die|eine?) (?:diferencias?|différences?|unterschiede?)|"
    r"в ч[её]м|для чего|у чому|на чому|w jaki|na czym|so sánh|sự khác|vì sao|làm (?:sao|thế)|"
    r"ما |لماذا|كيف|اشرح|چرا|چگونه|מה |איך|למה)\b",
    re.IGNORECASE,
)
ANYWHERE = re.compile(
    r"什么|什麼|如何|怎么|怎樣|怎样|为什么|為什麼|为何|哪|区别|區別|是否|有何|能否|简述|介绍一下|介绍下|谈谈|说说|解释|分享|"
    r"讲讲|讲一下|说一下|了解吗|吗[?？]?$|とは|なぜ|どのよう|ですか|ますか|でしょうか|ください|述べよ|なさい|違い|説明|"
    r"무엇|왜|어떻게|어떤|차이|설명|까요|나요|는가$|은가$|인가|던가$|(?:이유|까닭|역할|차이)[은는]$|알려주|알려 주|얘기하|말해|"
    r"표현해|적어|là gì|thế nào|ra sao|bao nhiêu|nedir|คืออะไร|อย่างไร|ทำไม|क्या है|چیست"
)
MARKS = "?？؟"
TAIL = re.compile(r"[\s*_`~#:.)\]}>\"'”’!⭐★☆✨🔥👶🚀✅❓❔💡📌🌟🔹⬆️\ufe0f-]+$")
BRACKETS = re.compile(r"\s*(?:\[\[[^\[\]]{0,80}\](?:\([^()\s]{0,300}\))?\]?(?:\([^()\s]{0,300}\))?|"
                      r"\[[^\[\]]{0,80}\]\([^()\s]{0,300}\)|\([^()]{0,120}\)|\[[^\[\]]{0,80}\]|<[^<>]{1,200}>)\s*$")  # fmt: skip
QUESTION = (
    r"(?:interview[ \t]+)?(?:question|ques|que|q|问题|问|問|質問|题目|题|질문|문제|вопрос|в|frage|pregunta|pergunta|"
    r"front|flashcard|card|problem|exercise|scenario|(?:coding )?challenge|câu hỏi|câu|domanda|pytanie|питання|soru|प्रश्न)"
)
QUESTION_LABEL = re.compile(
    rf"q(?:ues(?:tion)?)?[ \t]?[.#-]?[ \t]?(?P<m>\d{{1,4}})[ \t]++(?![ \t:：.)）-])"
    rf"|{QUESTION}[ \t]*+(?:(?:no\.?|№|[#.-])[ \t]*+)?(?P<n>\d{{1,4}})?[ \t]*+(?:[:：.)）、|]|[-–—](?=[ \t]))+[ \t]*+",
    re.IGNORECASE,
)
BARE_LABEL = re.compile(
    rf"(?:{QUESTION})[ \t]*+[#№.-]?[ \t]*+(\d{{0,4}})(?:[ \t]*+\[[^\[\]]{{1,40}}\])?[ \t]*+[:：.)]?", re.IGNORECASE
)
ANSWER = (
    r"(?:(?:sample|short|suggested|model|correct|example|expected|best|ideal|good|strong|detailed|quick|full|모범|예시|правильный)"
    r"[ \t]++)?(?:answer|ans|a|solution|sol|response|reply|back|explanation|(?:参考|标准|正确|推荐)?答案|答|解答例?|回答例?|"
    r"模範解答|답변|답|정답|해설|ответ|о|antwort|réponse|respuesta|resposta|(?:gợi ý )?trả lời|đáp án|risposta|odpowiedź|"
    r"відповідь|cevap|उत्तर)(?:[ \t]++(?:guide|key))?"
)
ANSWER_LABEL = re.compile(
    rf"(?:{ANSWER})[ \t]*+\d{{0,4}}[ \t]*+(?:[:：]|[.)、](?=[ \t])|[-–—](?=[ \t]))[-–—]?[ \t]*+", re.I
)
DRESSED_LABEL = re.compile(
    rf"([*_]{{1,3}})(?:{ANSWER})[ \t]*+\d{{0,4}}[ \t]*+\1[ \t]*+(?:[:：]|[-–—](?=[ \t]))[ \t]*+", re.I
)
ANSWER_ALONE = re.compile(
    rf"(?:(?:show|view|see|click[^<>]{{0,30}}|reveal|hint|the|my|full|detailed)[ \t]++)*(?:{ANSWER}s?)(?:[ \t]*+\d{{0,4}})?"
    r"(?:[ \t]++(?:here|\([^()]{0,40}\)))?[ \t]*+[:：.!]?(?:[ \t]*+[A-Za-z]\b)?",
    re.IGNORECASE,
)
REVEALERS = re.compile(
    r"(?:click|tap|show|expand|reveal|view|see|open|spoiler|hint|details?|more|code|example|toggle|ver|mostrar|clique|voir|"
    r"afficher|показать|посмотреть|развернуть|xem)\b.{0,40}|(?:查看|点击|展开|显示).{0,20}|.{0,20}(?:보기|を見る|を表示)",
    re.IGNORECASE,
)
FURNITURE = re.compile(
    r"(?:table[ \t]+of[ \t]+)?contents?|toc|index|references?|resources?|further[ \t]+reading|bibliography|sources?|"
    r"contribut(?:e|ing|ors?|ions?).{0,40}|licen[cs]e|credits?|acknowledge?ments?|about(?:[ \t]+(?:me|us|this.{0,30}))?|"
    r"disclaimer|support.{0,30}|stargazers?.{0,30}|star[ \t]history|changelog|how[ \t]to[ \t](?:contribute|use.{0,40})|c[oó]mo[ \t](?:usar|contribuir).{0,20}|contribuindo|contribuir|related[ \t].{0,20}|prerequisites|installation|get[ \t]in[ \t]touch|"
    r"contact.{0,20}|links?|useful[ \t]links?|feedback|overview|introduction|preface|summary|conclusion|notes?|"
    r"目录|目錄|参考(?:资料|文献|链接)?|資料|总结|小结|前言|目次|参考文献|목차|참고(?:자료|문헌)?|содержание|оглавление|ссылки|"
    r"источники|inhalt(?:sverzeichnis)?|sommaire|table[ \t]des[ \t]matières|índice|referências|referencias",
    re.IGNORECASE,
)
GENERIC = re.compile(  # names of parts of an answer
    r"(?:code |python )?examples?.{0,20}|code|note|notes|tips?|key (?:points?|takeaways?|concepts?|ideas?|differences?)|"
    r"(?:dis)?advantages?|pros|cons|pros (?:and|&) cons|explanation|output|approach|implementation|formula|steps?|"
    r"(?:common )?use[ -]cases?|applications?|intuition|definition|summary|conclusion|comparison|best practices?|"
    r"follow[ -]?ups?|remarks?|hints?|benefits|limitations|complexity.{0,20}|time complexity.{0,30}|result|details?|"
    r"参考|参考资料|代码|示例|总结|优点|缺点|참고|예시|пример|beispiel|exemple|ejemplo|references?|further reading|links?|sources?",
    re.IGNORECASE,
)
QUESTION_CELL = re.compile(
    r"(?:interview )?(?:questions?|q|front|terms?|prompt|concept|问题|題目|题目|질문|문제|вопросы?|pregunta|frage|pergunta|質問)",
    re.IGNORECASE,
)
ANSWER_CELL = re.compile(
    r"(?:short |sample )?(?:answers?|a|back|definitions?|explanation|response|答案|回答|答|답변|답|ответы?|respuesta|antwort|"
    r"resposta|meaning|description)",
    re.IGNORECASE,
)
TOPIC_CELL = re.compile(r"tags?|topics?|category|section|deck|subject", re.IGNORECASE)
ABOUT_CELL = re.compile(r"level|difficulty|link|tag|topic|status|done|company", re.IGNORECASE)
ANCHOR = re.compile(r"\[[^\[\]]{0,400}(?:\[[^\[\]]{0,100}\][^\[\]]{0,100})?\]\(\s*#[^()]*(?:\([^()]*\)[^()]*)*\)")
LINKED = re.compile(r"!?\[[^\[\]]{0,400}\]\([^()]{0,800}\)")
BACK = re.compile(r"back[ \t]+to[ \t]+(?:the[ \t]+)?(?:top|index|contents?|table.{0,30}|questions?|main.{0,20})|"
                  r"go[ \t]to[ \t](?:top|index)|к[ \t]оглавлению|^\W*(?:top|up|返回顶部|回到顶部|返回目录|回到目录)\W*$|наверх|맨[ \t]?위로", re.I)  # fmt: skip
EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf\u2b00-\u2bff\ufe0f\u200d]+")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>")


def asks(text: str) -> bool:
    """Whether words have the form of a question or of a task.

    >>> asks("What is momentum?"), asks("Explain Adam"), asks("Optimizers"), asks("什么是动量"), asks("Why so? [[src](x)]")
    (True, True, False, True, True)
    """
    plain = bare(text)
    if not plain:
        return False
    if plain[-1] in MARKS or (any(sign in plain[-200:] for sign in "?？") and not plain.endswith((".", ":"))):
        return True
    first, second = _first_two(plain)
    if first in FIRST and second:
        return second not in NAMING or first in ("how", "difference", "differences")
    if (first in SETTING or plain[0] in "\"“'‘«") and TASK.search(plain[:LONGEST]) and plain[-1:] != ":":
        return True
    return "?" in plain or plain[0] == "¿" or bool(STARTS.match(plain) or ANYWHERE.search(plain))


def opens_question(text: str) -> bool:
    """Whether the first word is one that begins a question or a task."""
    return _first_two(text)[0] in FIRST


def sets_task(text: str) -> bool:
    """Whether these are the words of a task: "Explain the role of momentum." """
    return IMPERATIVE.match(text) is not None and text[-1:] not in ":：,;"


def _first_two(plain: str) -> tuple[str, str]:
    """The first two words, without emphasis; of "Briefly explain" the second alone, beside itself."""
    words = plain.replace("*", "").replace("`", "").casefold().split(None, 2)
    first = re.sub(r"[^\w'’-]", "", words[0]) if words else ""
    second = words[1] if len(words) > 1 else ""
    return (second, second) if first.endswith("ly") and second else (first, second)


def bare(text: str) -> str:
    """The words without what may stand behind them: emphasis, stars, links to a source, remarks in brackets."""
    text = (TAG.sub(" ", text[:LONGEST]) if "<" in text else text[:LONGEST]).strip()
    for _ in range(4):
        shorter = BRACKETS.sub("", TAIL.sub("", text)) if text and text[-1] not in MARKS else text
        if shorter == text or not shorter:
            break
        text = shorter
    return (text if text.isascii() else EMOJI.sub("", text)).strip(" \t*_")


def plain_name(heading: str) -> str:
    """The words of a heading without its tags, links and emphasis.

    >>> plain_name("**[Trees](#trees)** <a name='trees'></a>")
    'Trees'
    """
    words = re.sub(r"(?<!!)\[([^\[\]]{1,200})\]\([^()]{0,500}\)", r"\1", TAG.sub("", heading[:LONGEST]))
    return re.sub(r"\*\*|__|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)", "", words).strip()


def is_furniture(text: str) -> bool:
    """The name of a part that every document has: contents, references, license."""
    return FURNITURE.fullmatch(re.sub(r"[^\w \t]+", "", EMOJI.sub("", text[:200])).strip()) is not None


def is_generic(text: str) -> bool:
    """The name of a part that many answers have: example, note, references."""
    return GENERIC.fullmatch(re.sub(r"[^\w &-]+", "", EMOJI.sub("", text[:200])).strip()) is not None


def is_answer_label(text: str) -> bool:
    """Nothing but "Answer", "Show answer", "Solution:" in any dress.

    >>> [is_answer_label(text) for text in ("**Answer:**", "Show solution", "#### Answer: D", "Answers differ")]
    [True, True, True, False]
    """
    words = " ".join(EMOJI.sub("", TAG.sub("", text[:200])).strip(" \t*_#>`@-").split())
    if words[-1:].isdigit() and text.strip()[:1] not in tuple("*_#<>"):
        return False  # words of an answer, say "answer 1"
    return len(words) > 1 and ANSWER_ALONE.fullmatch(words) is not None  # "A" alone may be the answer itself


def is_revealer(text: str) -> bool:
    """What stands on a fold that hides an answer."""
    words = EMOJI.sub("", TAG.sub("", text[:200])).strip(" \t*_#>`-.:!…▶")
    return not words or is_answer_label(words) or (REVEALERS.fullmatch(words) is not None and not words.endswith("?"))


def is_anchor(text: str) -> bool:
    """An entry of a table of contents: nothing but links to places of the same page."""
    rest, n = ANCHOR.subn("", text[: 2 * LONGEST])
    return n > 0 and not rest.strip(" \t*_.,:;|()[]<>br/-–—`0123456789⭐👶🚀")


def leads_back(line: str) -> bool:
    """A line that is nothing but a link to the top or to the table of contents."""
    if len(line) > LONGEST or ("<" not in line and len(line) >= 200):
        return False
    plain = TAG.sub("", line).strip() if "<" in line else line.strip()
    if not plain or len(plain) >= 200 or not BACK.search(re.sub(r"\]\([^()]*\)", "]", plain)):
        return False
    return bool(re.search(r"\]\(|<a\b|\[.*\]|[⬆↥↑▲]", line)) or len(plain) < 25


def is_navigation(line: str) -> bool:
    """A line that leads back, or nothing but tags that part or arrange."""
    if "<" not in line or TAG.sub("", line[:LONGEST]).strip():
        return leads_back(line)
    tags = re.findall(r"</?([a-zA-Z0-9]+)", line.lower())
    return bool(tags) and set(tags) <= {"br", "hr", "div", "p", "a", "b", "center", "details", "span"}
