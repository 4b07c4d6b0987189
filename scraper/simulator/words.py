"""What a search term means on the built-in site, and what the pages call its pictures."""

import random
import re
import unicodedata
from dataclasses import dataclass

from scraper.simulator.pictures import KINDS

NOTHING = "qzxvwjk"
"""The made-up word that no engine has a result for."""

MISSPELT = {"piza": "pizza", "pizzza": "pizza", "quich": "quiche", "burgr": "burger", "spagetti": "spaghetti"}
"""Words for which the engines ask whether another one was meant."""

# Phrases come before the words that they hold; the names of the kinds themselves come after all of these.
WORDS: dict[str, str] = {
    "tray": "empty_tray",
    "plate": "empty_plate",
    "fry": "fries",
    "egg": "fried_egg",
    "mug": "cup",
    "coffee": "cup",
    "margherita": "pizza",
    "pepperoni": "pizza",
    "hamburger": "burger",
    "cheeseburger": "burger",
    "biscuit": "cookie",
    "doughnut": "donut",
    "pasta": "spaghetti",
    "noodle": "spaghetti",
    "omelette": "frittata",
    "lettuce": "salad",
    "chip": "fries",
    "person": "people",
    "crowd": "people",
    "automobile": "car",
    "forest": "tree",
    "house": "building",
    "street": "building",
}

TITLES = (
    "{} Recipe",
    "The Best {} \N{EN DASH} Anna\N{RIGHT SINGLE QUOTATION MARK}s Kitchen",
    'How to make "{}" at home',
    "{} & friends | Café Größe",
    "Homemade {} (step by step)",
    "{} stock photo #{}",
    "Easy {} in 20 minutes <new>",
    "{} 🍴 what we had for lunch",
    "Photo: {} - Wikipedia",
    "{}: 1,001 ideas",
)
SITES = ("Anna's Kitchen", "Café Größe", "Food & Co", "wiki pictures", "lunchbox blog", "The Daily Plate")


@dataclass(frozen=True, slots=True)
class Asking:
    """What a page says that asks for consent, and what its button for more results says."""

    title: str
    cookies: str
    reject: str
    accept: str
    more: str


ASKING: dict[str, Asking] = {
    "en": Asking("Before you continue", "We use cookies and data.", "Reject all", "Accept all", "See more images"),
    "de": Asking(
        "Bevor Sie fortfahren",
        "Wir verwenden Cookies und Daten.",
        "Alle ablehnen",
        "Alle akzeptieren",
        "Mehr Bilder anzeigen",
    ),
    "fr": Asking(
        "Avant de continuer", "Nous utilisons des cookies.", "Tout refuser", "Tout accepter", "Voir plus de résultats"
    ),
    "es": Asking("Antes de continuar", "Usamos cookies y datos.", "Rechazar todo", "Aceptar todo", "Ver más imágenes"),
    "it": Asking(
        "Prima di continuare",
        "Utilizziamo i cookie e i dati.",
        "Rifiuta tutto",
        "Accetta tutto",
        "Mostra altre immagini",
    ),
    "nl": Asking(
        "Voordat je verdergaat",
        "We gebruiken cookies.",
        "Alles afwijzen",
        "Alles accepteren",
        "Meer afbeeldingen weergeven",
    ),
    "pl": Asking(
        "Zanim przejdziesz dalej",
        "Używamy plików cookie.",
        "Odrzuć wszystko",
        "Zaakceptuj wszystko",
        "Pokaż więcej obrazów",
    ),
    "pt": Asking("Antes de continuar", "Usamos cookies e dados.", "Rejeitar tudo", "Aceitar tudo", "Ver mais imagens"),
    "sv": Asking("Innan du fortsätter", "Vi använder cookies.", "Avvisa alla", "Godkänn alla", "Visa fler bilder"),
    "cs": Asking(
        "Než budete pokračovat", "Používáme soubory cookie.", "Odmítnout vše", "Přijmout vše", "Zobrazit další obrázky"
    ),
    "el": Asking(
        "Πριν συνεχίσετε", "Χρησιμοποιούμε cookie.", "Απόρριψη όλων", "Αποδοχή όλων", "Εμφάνιση περισσότερων εικόνων"
    ),
    "uk": Asking(
        "Перш ніж продовжити",
        "Ми використовуємо файли cookie.",
        "Відхилити все",
        "Прийняти все",
        "Показати більше зображень",
    ),
    "ja": Asking("続行する前に", "Cookie を使用します。", "すべて拒否", "すべて同意", "もっと見る"),
}
"""The languages of the pages' questions and buttons."""


def normal(term: str) -> str:
    """Return the term as the engines look it up: one case, single spaces."""
    return " ".join(unicodedata.normalize("NFC", term).casefold().split())


def singular(word: str) -> str:
    """Return an English plural without its ending, roughly."""
    if word.endswith(("ies", "oes")) and len(word) > 4:
        return word[:-3] + ("y" if word.endswith("ies") else "o")
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def kind_of(term: str) -> str:
    """Return the kind of picture that a term brings: by its words, the last ones first, else by its hash."""
    term = meant(term) or term
    named = WORDS | {kind.replace("_", " "): kind for kind in KINDS}
    words = [singular(word) for word in re.findall(r"\w+", normal(term))]
    for end in range(len(words), 0, -1):
        for first in range(end):
            if kind := named.get(" ".join(words[first:end])):
                return kind
    return random.Random(f"kind of {normal(term)}").choice(KINDS)


def meant(term: str) -> str:
    """Return the term as its writer may have meant it; empty where nothing is misspelt."""
    words = normal(term).split()
    return " ".join(MISSPELT.get(word, word) for word in words) if MISSPELT.keys() & set(words) else ""


def has_results(term: str) -> bool:
    """Tell whether the engines find anything for the term."""
    return bool(normal(term)) and NOTHING not in normal(term)


def slug(text: str) -> str:
    """Return the text as a part of an address: small ASCII letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().casefold()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or "photo"


def title(subject: str, rng: random.Random) -> str:
    """Return a page title for a picture of the subject, with what titles hold: quotes, ampersands, accents, emoji."""
    return rng.choice(TITLES).format(subject.title(), rng.randrange(10_000))
