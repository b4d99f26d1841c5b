//===- BuiltinText.cpp - The calibration text for want of another ---------===//
//
// Written for this project. Many kinds of text in few words: a model's inputs
// differ more from one kind to another than within one.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Quantize/CalibrationText.h"

// In pieces, as compilers need not take string literals of more than 65536
// bytes and people need not read one of more than a page.

static constexpr char prose[] =
    R"(The harbour of Velm lies open to the north, and in winter the wind comes over the breakwater with nothing to stop it since the ice. Fishermen there build their houses with the doors facing the hill. A stranger who arrives in August, when the water is flat and the children jump from the pier, thinks this a foolish custom; a stranger who stays until January says nothing more about it.

Marta Oln had kept the light on the outer rock for nineteen years when the company wrote that it would be replaced by a machine. She read the letter twice, folded it, and put it under the leg of the table, which had never stood quite level. "Let us see whether it holds that up, at least," she told the cat.

It was not that she disliked machines. She had repaired the fog horn with a bicycle chain, and the radio with the spring of a mousetrap. But a lamp that nobody tends does not know when a boat is late. On the evening of the ninth of March she had counted seven boats out and six boats in, and had left the light burning until past ten in the morning, against all regulations. The seventh boat came home at half past nine with a broken mast and three men asleep on the nets. No machine would have counted.

)"
    R"(Glaciers move in two ways. Under its own weight the ice deforms, slowly, like cold honey; and where its base has melted it slides over the rock on a thin film of water. The first kind of motion depends on temperature and on the thickness of the ice, and it changes little from one year to the next. The second may start and stop within days. When lakes on the surface drain through cracks to the bed, a glacier as long as a city can speed up by half in one afternoon, and lift by some centimetres, and settle again. Measurements since the 1990s, first with stakes and theodolites and later with satellite receivers left on the ice, have shown that such events are common in Greenland between June and September.

In 1847 the town council voted, by eleven votes to four, to build a bridge. The engineer, a quiet man called Tobias Renner, proposed three arches of local stone at a cost of 42,500 thalers. The council asked whether two arches would not be cheaper. Renner replied that one would be cheaper still, and none the cheapest of all, but that the river was 96 metres wide and had its own opinion. The bridge was opened in 1852. It survived the floods of 1876 and 1909, both wars, and an attempt in 1963 to widen it for buses.

Bread is flour, water, salt and time. Mix 500 g of flour with 350 g of water and let it rest for half an hour before anything else; the flour swells and the dough becomes smooth without work. Add 10 g of salt and a little yeast or 100 g of sour starter. Fold the dough over itself every thirty minutes, four times, then leave it until it has grown by about three quarters. Bake it hot, at 240 degrees, in a closed pot for 25 minutes and in the open for another 20. It is done when it sounds hollow, and it tastes best when one has had the patience to let it cool.

)";

static constexpr char dialogue[] =
    R"("Are you sure this is the right platform?" asked Ines.
"No," said her brother. "But it is the only one with a train."
"That's not how trains work, Paul."
"It's how this one works. Look, it's leaving. Do you want to be right, or do you want to be in Lisbon?"
She got on. They were, as it turned out, neither right nor in Lisbon; the train stopped at every village along the river, and by nightfall they had reached a place called Pinhao, where an old woman rented them a room and would not hear of money until they had eaten.

Question: What is the difference between weather and climate?
Answer: Weather is the state of the air at one place and time: whether it rains, how warm it is, how the wind blows. Climate is what can be expected over many years: the averages, and also the extremes and how often they occur. One cold winter is weather. Thirty winters are climate.

Question: Why does ice float on water?
Answer: Because it is less dense. When water freezes, its molecules arrange themselves in an open lattice, held apart by hydrogen bonds, so that the same mass takes up about nine percent more room. Most other substances shrink when they become solid.

Question: How many prime numbers are there below thirty?
Answer: Ten: 2, 3, 5, 7, 11, 13, 17, 19, 23 and 29.

Dear Mr. Abara,
thank you for your letter of 3 May. We are sorry that the second volume reached you with pages 113 to 128 missing, and with pages 97 to 112 printed twice. A new copy was sent today. Please keep the old one; our printer assures us that it is unique. If you have further questions, write to us at the address below or call between 9:00 and 16:30.
Yours sincerely,
H. Lindqvist, Customer Service

User: My plant has yellow leaves. What should I do?
Assistant: Yellow leaves most often come from too much water. Check whether the soil is wet some centimetres below the surface. If it is, wait until it has dried before you water again, and make sure that the pot has a hole in it. If the soil is dry, the plant may lack light or nitrogen. Tell me which plant it is and where it stands, and I can say more.

)";

static constexpr char facts[] =
    R"(The capital of Norway is Oslo. The capital of Japan is Tokyo. Canberra, not Sydney, is the capital of Australia. The Nile flows north through Sudan and Egypt into the Mediterranean Sea; the Danube rises in the Black Forest and ends in the Black Sea, after 2,850 kilometres and ten countries. Mercury is the planet closest to the Sun, Venus the hottest, Jupiter the largest. Water boils at 100 degrees Celsius at sea level and at about 71 degrees on top of Mount Everest. Light needs eight minutes and nineteen seconds from the Sun to the Earth.

| Month    | Rain (mm) | Days of frost | Mean (C) |
|----------|-----------|---------------|----------|
| January  | 61.2      | 19            | -0.4     |
| April    | 44.8      | 4             | 8.7      |
| July     | 78.5      | 0             | 18.9     |
| October  | 57.0      | 2             | 9.6      |

# Changes in version 2.4.1

* The parser accepts comments at the end of a line (#318).
* `--output` may name a folder; files keep their names.
* Fixed: a crash when the input was empty and `--strict` was set.
* Removed the option `--legacy`, deprecated since 2.1.

Theorem. There are infinitely many prime numbers.
Proof. Suppose that p1, p2, ..., pn were all of them, and let N = p1 * p2 * ... * pn + 1. No pi divides N, as the remainder is always 1. But N > 1 has at least one prime divisor, which is then none of the pi: a contradiction. QED

If 3x + 7 = 22, then 3x = 15 and x = 5. A rectangle of 8 cm by 13 cm has an area of 104 square centimetres and a perimeter of 42 cm. One third of 81 is 27; 15 percent of 240 is 36; 2^10 = 1024; 17 * 23 = 391.

)";

static constexpr char programs[] =
    R"(```python
def merge(left, right):
    """Merges two sorted lists into one."""
    result = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            result.append(left[i])
            i += 1
        else:
            result.append(right[j])
            j += 1
    return result + left[i:] + right[j:]

for name, count in sorted(totals.items(), key=lambda item: -item[1])[:10]:
    print(f"{name:20} {count:6d}")
```

```c
static int compare(const void *a, const void *b) {
  const struct entry *x = a, *y = b;
  if (x->key != y->key)
    return x->key < y->key ? -1 : 1;
  return strcmp(x->name, y->name);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s FILE\n", argv[0]);
    return 2;
  }
  FILE *file = fopen(argv[1], "rb");
  ...
}
```

{"id": 7041, "name": "garden chair", "price": 39.90, "tags": ["outdoor", "wood"], "stock": {"berlin": 12, "porto": 0}, "active": true}

SELECT c.city, COUNT(*) AS orders, SUM(o.total) AS turnover FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.placed >= '2021-01-01' GROUP BY c.city HAVING COUNT(*) > 5 ORDER BY turnover DESC;

$ git log --oneline -3
4f2a91c Check the length before the checksum
b07d3e5 Read the header in one piece
91e6c02 Add a test for truncated files

)"
    R"(Once upon a time there was a little fox who was afraid of the dark. Every evening, when the sun went down behind the hill, he crept under the roots of the old oak and closed his eyes. One night a firefly sat down on his nose. "Why do you hide?" she asked. "Because I cannot see," said the fox. "Then open your eyes," said the firefly, "and look up." The fox opened his eyes. Above him, between the branches, there were more lights than he could count. He was never afraid again, or only a little, when it rained.

Der Zug nach Freiburg faehrt heute von Gleis sieben. La maison au bout de la rue est vide depuis l'hiver dernier. El mercado abre a las ocho y cierra cuando ya no queda nadie. In the end, all of them wanted the same thing: a warm place, something to eat, and somebody who would listen.
)";

llvm::StringRef odyssey::builtinCalibrationText() {
  static const std::string text =
      std::string(prose) + dialogue + facts + programs;
  return text;
}
