"""What an ingredient is, read from its name: complex or defined, a carbon source or not, and its group on a card.

Names come from many sources and follow no scheme, so the rules are word lists, asked in a fixed order. They know the
spellings of MediaDive, KOMODO and TogoMedium; a name that no rule knows is of the group `other`, is not complex and
is no carbon source.
"""

from __future__ import annotations

import re
from functools import lru_cache

from mediacvae.names import folded

CARBON, SALTS, TRACE, VITAMINS, REDUCING, OTHER = GROUPS = (
    "carbon and complex sources",
    "salts and buffers",
    "trace elements",
    "vitamins",
    "reducing agents and indicators",
    "other",
)

# Of no known composition, and food for somebody: extracts, digests, body fluids, whole media.
_COMPLEX_FOOD = (
    r"extract|peptone?s?\b|polypepton|trypton|tryptose|trypticase|tryptic|phytone|soyton|casiton|\bcasein|casamino"
    r"|hydrolysate|hydrolyzate|n-+z.?(?:amine|case)|hy-?case|amicase|infusion|broth|\bbouillon|digest|lemco|marmite"
    r"|serum|^fbs$|blood|h(?:a)?emoglobin|rumen|\bfluid|juice|\bmilk|whey|molasses|\bwort|\bbeer|\bwine|liver|\bbrain"
    r"|\bbeef|\bmeat\b|\bheart|\begg|\byolk|fish meal|potato|tomato|\bcarrot|oat ?meal|\boats?\b|(?:corn|maize) ?meal"
    r"|corn steep|\brye\b|cereal|\bhay\b|\bgrass|\bstraw|\brice\b|\bwheat|\bsoy|\bpea\b|\bv-?8|\bflour|mucin|gelatine?"
    r"|collagen|keratin|\bchitin|yeast|^ye$|\bspent\b|supernatant|filtrate|homogenate|lysate|albumin|bile\b|sludge"
    r"|manure|\bdung|\bmrs\b|\bpplo|columbia|wilkins|clostridial|\bdehydrated|\bgam\b|r2a|\b2216\b|agar.base"
    r"|nutrient|\bbhi\b|\btsa\b|\btsb\b|\blb\b|\b(?:medium|media)\b"
)
# Of no known composition, but nobody's food: water and earth as they are found.
_COMPLEX_OTHER = r"sea ?water|soil|sediment|\bmud\b|tap water|ground ?water"
_NOT_COMPLEX = (
    r"artificial|synthetic|^agar\b|^bacto agar|\bagarose|cmrl|czapek|minimum essential|mem-medium|mem alpha"
    r"|leibovitz|\bl-15\b|yeast nitrogen base|vitamin"
)

_REDUCING = (
    r"cystein|cystin|^cys|na2s\b|sodium sulfide|sulfide|thioglyc|dithiothreitol|dithionite|na2s2o4|ascorb|glutathione"
    r"|resaz|mercaptoethan|coenzyme m\b|ticl3|titanium|bisulfi|na2so3|nahso3|phenol red|bromothymol|bromocresol"
    r"|malachite|indigo|methylene blue|\bcatalase"
)
_VITAMINS = (
    r"vitamin|biotin|nicotin|niacin|folic|folate|folin|riboflavin|thiamin|pyridox|pyrodox|pantothen|panthothen|lipoic"
    r"|lipoate|thioctic|aminobenzo|cyanocob|cobalamin|\bb12\b|menadion|ha?emin\b|ha?ematin|inositol|\bnad[ph]?\b|\bfad\b"
    r"|mevalon|naphthoquinone|coenzyme a\b|retinol|tocopherol"
)
_NEITHER = (
    r"adenin|adenos|guanin|guanos|uracil|uridin|thymin|thymid|cytosin|cytidin|xanth|inosin|orot|spermi|putrescin"
    r"|illin\b|illin |mycin|cyclin|polymyxin|cyclohexim|chloramphen|floxacin|^agar\b|bacto agar|noble agar"
    r"|\bsul(?:f|ph)ur\b"
)
_TRACE = (
    r"^fe|iron|ferric|ferrous|^h3bo|boric|borate|b4o7|^mn|mangan|^zn|zinc|^co[(sc]|cobalt|^cu[(cs]|copper|cupric|^ni[(cs2]"
    r"|nickel|moo|molybd|mo7o|na2mo|wo[234]|tungst|seo|se3|seleni|selenate|vo ?so|vanad|navo|^al[2ck]|alumin|^aik"
    r"|^sr|strontium|^ki$|iodid|^kbr|^nabr|bromide|^naf$|^kf$|fluorid|licl|lithium|^bacl|barium|lacl|lanthan|cecl|cerium|edta|nitrilotri"
    r"|\bnta\b|\(nh4\)2ni|\(nh4\)2fe|chromium|crk|^cr2|rubidium|rbcl|sncl|\btrace|silic|sio[23]|kal\(|h3bo4|^h2w|haso"
)
_SALTS = (
    r"^na|^k[2hcnos]|^mg|^ca|^nh4|^\(nh4\)|^nh4|sodium|potassium|calcium|magnesium|ammonium|chloride|sul(?:f|ph)ate|phosphate"
    r"|carbonate|nitrate|sea ?salt|sea ?water|hcl\b|hydrochloric|h2so4|naoh|hydroxide|hepes|\bmes\b|mops|pipes|\btris"
    r"|tricine|\btes\b|\baces\b|\bcaps|taps|bicine|bis-tris|buffer|glycerophosph|urea|tromethamine|morpholin|glycyl-?glycine"
)
_FOOD = (
    r"glucose|dextros|fructos|lactos|sucros|maltos|galact|mannos|xylose|xylitol|arabin|arabit|rhamnos|ribose|cellobios|fucose"
    r"|trehalos|raffinos|melibios|melezitos|starch|cellulos|xylan|pectin|dextrin|dextran|pullulan|glycogen|inulin|alginate"
    r"|laminarin|chitosan|sorbitol|mannitol|glycerol|glycerin|erythritol|dulcitol|glucosamine|muramic|glucon|glucuron"
    r"|acetate|acetic|pyruv|lactate|lactic|formate|formic|propion|propano|propanol|propenoa|butyr|butano|butanol|valer|pentanoa"
    r"|capro|croton|succin|fumar|mal(?:ate|ic|eate|eic)|malon|citrat|citric|tartrat|tartaric|oxal|glyoxyl|glycol|glutar"
    r"|shikim|quinic|quinate|levulin|octanoa|laur|oleic|oleate|palmit|stear|ferul|benzo|vanill|syring|gallate|gallic|gentis"
    r"|cinnam|phenol|cresol|catechol|guaiacol|benz(?:yl|alde)|methanol|ethanol|isopropyl|propane-1|propanediol|butanediol"
    r"|methylamin|betaine|trimethylglycine|choline|carnitine|creatin|taurine|dimethyl ?sulfide|hexadecane|alkane|nonane"
    r"|decane|octane|toluene|xylene|phenyl|fluoranthen|dibenzofuran|naphthalen|phenanthren|pyrene|hydroxybutyr|\boil\b"
    r"|paraffin|glutam|aspart|asparag|alanin|arginin|glycine|histidin|leucin|lysin|methionin|phenylalanin|prolin|serin|threonin"
    r"|tryptophan|tyrosin|valin|ornithin|citrullin|amino ?acid|cmrl|czapek|minimum essential|mem-medium|mem alpha"
    r"|leibovitz|\bl-15\b"
)
# Names of food within something else: chelates of metals, salts of vitamins, buffers, solvents, detergents.
_NOT_FOOD = (
    r"^fe|\bfe\(|^'?iron|eisen|ferric|ferrous|edta|nitrilotri|titanium|zinc|copper|cobalt|mangan|glycerophosph|phosphonate|sulfoxide|silic"
    r"|tricine|\bbicine|glycyl-?glycine|polyvinyl|chloramphen|phosphocholine|lauryl|sorbitan|^d?-?ca-"
)

_IN_ORDER = (
    (_REDUCING, REDUCING),
    (_VITAMINS, VITAMINS),
    (_NEITHER, OTHER),
    (_TRACE, TRACE),
    (_SALTS, SALTS),
)


@lru_cache(maxsize=65536)
def is_complex(name: str) -> bool:
    """Whether an ingredient's composition is not known: extracts, peptones, digests, serum, rumen fluid, sea water.

    Agar, artificial sea water, starch and other named polymers count as defined.
    """
    word = folded(name)
    if re.search(_NOT_COMPLEX, word):
        return False
    return bool(re.search(_COMPLEX_FOOD, word) or re.search(_COMPLEX_OTHER, word))


@lru_cache(maxsize=65536)
def is_carbon(name: str) -> bool:
    """Whether an ingredient feeds a heterotroph: a complex source, sugar, organic acid, alcohol, amino acid.

    Carbonates and CO2 do not count, so that the medium of a strict autotroph has no carbon source by this rule.
    Reducing agents, vitamins, chelators and buffers are not food either.
    """
    word = folded(name)
    if is_complex(name):
        return bool(re.search(_COMPLEX_FOOD, word)) and not re.search(_COMPLEX_OTHER, word)
    if any(re.search(words, word) for words in (_NOT_FOOD, _REDUCING, _VITAMINS, _NEITHER)):
        return False
    return bool(re.search(_FOOD, word))


@lru_cache(maxsize=65536)
def substance(name: str) -> str:
    """What two names must share to be forms of one substance, of which a recipe needs one.

    Water of crystallisation and hydrochlorides are left out, and the form that is meant where none is named: D- of
    sugars and pantothenate, L- of the rest. `D-Glucose` is `Glucose`, but `D-Alanine` is not `L-Alanine`.
    """
    word = re.sub(r"[ -]*[x*·] ?[0-9.n]* ?h2o$", "", folded(name))
    word = re.sub(r"[ -](?:hcl|hydrochloride)$", "", word)
    word = re.sub(r"\bd-(?:\(\+\)-)?(?=[a-z]*(?:ose|pantothenate|biotin)\b)", "", word)
    word = re.sub(r"(?<![a-z0-9,])l-(?:\(\+\)-)?(?=[a-z])", "", word)
    return re.sub(r"^sodium (?=resazurin)", "", word)


@lru_cache(maxsize=65536)
def group(name: str) -> str:
    """The group of GROUPS that an ingredient stands under on a recipe card."""
    word = folded(name)
    if is_carbon(name):
        return CARBON
    for words, found in _IN_ORDER:
        if re.search(words, word):
            return found
    return OTHER
